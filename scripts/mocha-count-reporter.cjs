/**
 * Mocha's `spec` output for people, and the counts as JSON beside it, so that nobody has to read them out of the text. Where they go is said
 * by MOCHA_COUNTS_FILE; without it this is just `spec`. CommonJS, since mocha loads reporters by `require`.
 */
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class CountReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const file = process.env.MOCHA_COUNTS_FILE;
      if (file === undefined) return;
      const { passes, failures, pending } = this.stats;
      writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped: pending }));
    });
  }
};
