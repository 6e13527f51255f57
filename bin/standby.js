#!/usr/bin/env node
'use strict';
/** The command line, also on a fresh clone: the first call installs the npm dependencies. */
const { prepare } = require('./dependencies');

void prepare().then(() => require('../cli/main.ts'));
