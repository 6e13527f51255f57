// For a pipeline: node policies/check.js FILE; see check.ts.
'use strict';
process.exitCode = require('./load')('check.ts').main(process.argv.slice(2));
