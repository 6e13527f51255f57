'use strict';
/**
 * Mocha's `spec` output, closed by one line, `N passed, N failed`. Several runs add their counts, and what failed, to a
 * common file.
 */
const fs = require('node:fs');
const { reporters } = require('mocha');

const message = (cause) => `${cause?.message ?? cause}`;

module.exports = class ClosingLine extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    // A long suite should not keep its reasons to the end.
    runner.on('fail', (_, cause) => console.log(`       ${message(cause).split('\n')[0]}`));
  }

  epilogue() {
    super.epilogue();
    const { passes, failures } = this.stats;
    console.log(`${passes} passed, ${failures} failed`);
    const common = process.env['STANDBY_TEST_COUNTS'];
    const failed = this.failures.map((test) => ({
      title: test.fullTitle(),
      file: test.file,
      why: message(test.err),
    }));
    if (common) fs.appendFileSync(common, JSON.stringify({ passes, failures, failed }) + '\n');
  }
};
