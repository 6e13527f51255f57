#!/usr/bin/env node
'use strict';
/** `npm run clean`: stops a running sandbox, then removes the one folder of what was built, fetched and run. */
const fs = require('node:fs');
const path = require('node:path');
const { prepare, fail, repository } = require('./dependencies');

const home = path.resolve(process.env.STANDBY_HOME ?? path.join(repository, '.standby'));

async function main() {
  if (!fs.existsSync(home)) return console.log(`clean: ${home} is not there`);
  const strangers = fs.readdirSync(home).filter((name) => !['cache', 'build', 'run'].includes(name));
  if (strangers.length > 0)
    fail(`clean: ${home} holds what is not the sandbox's (${strangers[0]}); check STANDBY_HOME`);
  if (fs.existsSync(path.join(home, 'run'))) {
    await prepare();
    await require('../sandbox/supervisor').down(console.log);
  }
  fs.rmSync(home, { recursive: true, force: true });
  console.log(`clean: removed ${home}`);
}

void main().catch((cause) => fail(cause.message));
