'use strict';
/**
 * Mocha's `spec` output, closed by one line, `N passed, N failed`. Several runs add their counts, and what failed, to a
 * common file.
 */
const fs = require('node:fs');
const { reporters } = require('mocha');

module.exports = class ClosingLine extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures } = this.stats;
    console.log(`${passes} passed, ${failures} failed`);
    const common = process.env['STANDBY_TEST_COUNTS'];
    const failed = this.failures.map((test) => ({
      title: test.fullTitle(),
      file: test.file,
      why: `${test.err?.message ?? test.err}`,
    }));
    if (common) fs.appendFileSync(common, JSON.stringify({ passes, failures, failed }) + '\n');
  }
};
