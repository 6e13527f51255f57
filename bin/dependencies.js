'use strict';
/** What must work before anything is installed: plain JavaScript on Node alone. Keep it small. */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { lock } = require('./lock');

const repository = path.join(__dirname, '..');
const leastNode = [20, 19];

const say = (line) => process.stderr.write(`${line}\n`);
const npm = (...args) => spawnSync('npm', args, { cwd: repository, encoding: 'utf8' });

function fail(line) {
  say(`standby: ${line}`);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1])) return;
  fail(
    `Node ${process.versions.node} is too old; ${leastNode.join('.')} or newer is needed; get it from https://nodejs.org/`,
  );
}

/** npm's record of what it installed against the lock file. A killed `npm ci` leaves no record. */
function installed() {
  const read = (file) => JSON.parse(fs.readFileSync(path.join(repository, file), 'utf8')).packages;
  try {
    const found = read('node_modules/.package-lock.json');
    const isThere = (name, wanted) =>
      found[name]
        ? found[name].version === wanted.version && found[name].integrity === wanted.integrity
        : wanted.optional;
    return Object.entries(read('package-lock.json')).every(([name, wanted]) => name === '' || isThere(name, wanted));
  } catch {
    return false;
  }
}

function install() {
  const began = Date.now();
  say('npm dependencies: installing what package-lock.json names');
  // A registry that does not answer is given up here; what npm's own cache holds needs none.
  const ping = npm('ping', '--fetch-timeout=9000', '--fetch-retries=0');
  const answers = ping.status === 0 || /code E[45]\d\d/.test(ping.stderr ?? '');
  const done = npm('ci', '--no-progress', answers ? '--prefer-offline' : '--offline');
  if (done.error) fail(`npm can't be started (${done.error.message}); it comes with Node: https://nodejs.org/`);
  if (done.status !== 0) {
    const why = (done.stderr.match(/^npm (?:error|ERR!) (?!code)(.*)$/m) ?? [])[1] ?? `exit code ${done.status}`;
    const reached = answers ? '' : ' and the npm registry does not answer (npm config get registry)';
    fail(`npm dependencies: npm ci failed${reached}: ${why}; mend that and run it again`);
  }
  say(`npm dependencies: installed (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}

/** Installs the npm dependencies unless they are there; ends the process with one line when it can't. */
async function ensureDependencies() {
  checkNode();
  if (installed()) return;
  const release = await lock(path.join(repository, 'node_modules'), (pid) =>
    say(`npm dependencies: waiting for process ${pid}, which installs them`),
  );
  try {
    if (!installed()) install();
  } finally {
    release();
  }
}

/** From here on TypeScript can be required. */
async function prepare() {
  await ensureDependencies();
  registerTypeScript();
}

/** Costs half a second: only for what is not bundled. */
function registerTypeScript() {
  process.env.TS_NODE_PROJECT = path.join(repository, 'tsconfig.json');
  require('ts-node/register/transpile-only');
}

module.exports = { prepare, ensureDependencies, registerTypeScript, fail, repository };
