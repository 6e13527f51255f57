#!/usr/bin/env node
'use strict';
/** `npm test`: its own set-up, then lint, format, types and tests. Arguments go to mocha. Exit code 1 when any of them fails. */
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { prepare, fail, repository } = require('./dependencies');

const seconds = (began) => `${((Date.now() - began) / 1000).toFixed(1)} s`;

const checks = [
  ['lint', 'eslint', '.', '--max-warnings', '0'],
  ['format', 'prettier', '--check', '--log-level', 'warn', '.'],
  ['types', 'tsc', '--noEmit', '-p', '.'],
];

/** What has the machine to itself: whole sandboxes, and figures that are measured. */
const alone = 'tests/{scenarios,chaos}/**/*.test.ts';

function suites() {
  const given = process.argv.slice(2);
  if (given.length > 0) return [['tests', 'mocha', ...given]];
  const together = ['--parallel', '--jobs', '2', 'tests/**/*.test.ts', '--ignore', alone];
  return [
    ['tests', 'mocha', ...together],
    ['scenarios', 'mocha', alone],
  ];
}

/** File that each run of mocha adds its counts to. */
const counts = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'standby-counts-')), 'counts');

function passes([name, tool, ...args]) {
  const began = Date.now();
  const child = spawn(path.join(repository, 'node_modules', '.bin', tool), args, {
    cwd: repository,
    stdio: 'inherit',
    env: { ...process.env, STANDBY_TEST_COUNTS: counts },
  });
  return new Promise((resolve) => {
    child.on('close', (status) => {
      console.log(`${name}: ${status === 0 ? 'passed' : 'FAILED'} (${seconds(began)})`);
      resolve(status === 0);
    });
  });
}

/** Over all runs of mocha: each test that failed in a line, and last `N passed, N failed`. */
function summary() {
  const text = fs.existsSync(counts) ? fs.readFileSync(counts, 'utf8') : '';
  const runs = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const sum = (what) => runs.reduce((total, one) => total + one[what], 0);
  fs.rmSync(path.dirname(counts), { recursive: true });
  const failed = runs
    .flatMap((run) => run.failed)
    .map(
      ({ title, file, why }) =>
        `  ${path.relative(repository, file ?? '')}: ${title}: ${why.split('\n')[0].slice(0, 300)}`,
    );
  return [...failed, `${sum('passes')} passed, ${sum('failures')} failed`].join('\n');
}

async function main() {
  const began = Date.now();
  await prepare();
  const { bootstrap } = require('../sandbox/bootstrap');
  await bootstrap(console.log).catch((cause) => fail(cause.message));
  console.log(`set-up: done (${seconds(began)})`);
  const failed = [];
  const note = ([name], passed) => passed || failed.push(name);
  await Promise.all(checks.map(async (check) => note(check, await passes(check))));
  for (const suite of suites()) note(suite, await passes(suite));
  console.log(
    failed.length === 0 ? `all passed (${seconds(began)})` : `failed: ${failed.join(', ')} (${seconds(began)})`,
  );
  console.log(summary());
  process.exitCode = failed.length === 0 ? 0 : 1;
}

void main();
