// Pulumi's own loader would type-check the TypeScript at each start (seconds). Types are checked by the tests; here the
// sources are only translated, in one go (tens of milliseconds), whatever folder the process was started in.
'use strict';
const { buildSync } = require('esbuild');
const Module = require('node:module');
const path = require('node:path');

/** @returns what the TypeScript file of this folder exports. */
module.exports = function load(name) {
  const bundle = buildSync({
    entryPoints: [path.join(__dirname, name)],
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    write: false,
  });
  const loaded = new Module(path.join(__dirname, name), module);
  loaded.filename = loaded.id;
  loaded.paths = module.paths;
  loaded._compile(bundle.outputFiles[0].text, loaded.id);
  return loaded.exports;
};
