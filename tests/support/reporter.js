'use strict';
/** Mocha's `spec` output, closed by one line to be found at the end of a log: `N passed, N failed`. */
const { reporters } = require('mocha');

module.exports = class ClosingLine extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures } = this.stats;
    console.log(`${passes} passed, ${failures} failed`);
  }
};
