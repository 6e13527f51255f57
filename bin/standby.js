#!/usr/bin/env node
'use strict';
/**
 * The command line, also on a fresh clone: the first call installs the npm dependencies. It is bundled in memory at each start, as
 * the programs are: always what the sources say, in 0.15 s. The sandbox is not part of it, and loaded when asked for.
 */
const path = require('node:path');
const { ensureDependencies, repository } = require('./dependencies');

function load() {
  const { buildSync } = require('esbuild');
  const debug = process.argv.includes('--debug');
  const { outputFiles } = buildSync({
    entryPoints: [path.join(repository, 'cli', 'main.ts')],
    bundle: true,
    packages: 'external',
    external: ['../sandbox/*', '../bin/*'],
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    // What is not in the bundle is required, as everything else is.
    supported: { 'dynamic-import': false },
    write: false,
    logLevel: 'silent',
    sourcemap: debug && 'inline',
  });
  if (debug) process.setSourceMapsEnabled(true);
  module._compile(outputFiles[0].text, path.join(repository, 'cli', 'bundle.js'));
}

void ensureDependencies().then(load);
