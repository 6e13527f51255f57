#!/usr/bin/env node
'use strict';
/** `npm test`: its own set-up, then lint, format, types and tests. Arguments go to mocha. Exit code 1 when any of them fails. */
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { prepare, fail, repository } = require('./dependencies');

const seconds = (began) => `${((Date.now() - began) / 1000).toFixed(1)} s`;

const checks = [
  ['lint', 'eslint', '.', '--max-warnings', '0'],
  ['format', 'prettier', '--check', '--log-level', 'warn', '.'],
  ['types', 'tsc', '--noEmit', '-p', '.'],
  ['tests', 'mocha', ...mochaArguments()],
];

function mochaArguments() {
  const given = process.argv.slice(2);
  return given.length > 0 ? given : ['tests/**/*.test.ts'];
}

function passes([name, tool, ...args]) {
  const began = Date.now();
  const { status } = spawnSync(path.join(repository, 'node_modules', '.bin', tool), args, {
    cwd: repository,
    stdio: 'inherit',
  });
  console.log(`${name}: ${status === 0 ? 'passed' : 'FAILED'} (${seconds(began)})`);
  return status === 0;
}

async function main() {
  const began = Date.now();
  await prepare();
  const { bootstrap } = require('../sandbox/bootstrap');
  await bootstrap(console.log).catch((cause) => fail(cause.message));
  console.log(`set-up: done (${seconds(began)})`);
  const failed = checks.filter((check) => !passes(check)).map(([name]) => name);
  console.log(
    failed.length === 0 ? `all passed (${seconds(began)})` : `failed: ${failed.join(', ')} (${seconds(began)})`,
  );
  process.exitCode = failed.length === 0 ? 0 : 1;
}

void main();
