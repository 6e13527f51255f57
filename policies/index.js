// The engine starts this file at every preview and update.
'use strict';
require('./load')('pack.ts');
