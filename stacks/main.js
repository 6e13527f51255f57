'use strict';
/**
 * Where the engine enters. The program is bundled in memory at each start: always what the sources say, in a tenth of a second,
 * and without a compiler in the process. Types are checked by the tests.
 */
const { buildSync } = require('esbuild');
const path = require('node:path');

const { outputFiles } = buildSync({
  entryPoints: [path.join(__dirname, 'index.ts')],
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  write: false,
  logLevel: 'silent',
});
// The SDK takes a stack trace for each resource and maps it to sources, which a bundle in memory does not have: half a second.
Error.prepareStackTrace = undefined;
module._compile(outputFiles[0].text, path.join(__dirname, 'program.js'));
