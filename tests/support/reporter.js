'use strict';
/** Mocha's `spec` output, closed by one line, `N passed, N failed`, which several runs add to a common file. */
const fs = require('node:fs');
const { reporters } = require('mocha');

module.exports = class ClosingLine extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures } = this.stats;
    console.log(`${passes} passed, ${failures} failed`);
    const common = process.env['STANDBY_TEST_COUNTS'];
    if (common) fs.appendFileSync(common, JSON.stringify({ passes, failures }) + '\n');
  }
};
