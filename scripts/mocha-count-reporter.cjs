/**
 * Mocha's `spec` output for people, and the counts and failures as JSON beside it, so that nobody has to read them out of the text. Where they go is said
 * by MOCHA_COUNTS_FILE; without it this is just `spec`. CommonJS, since mocha loads reporters by `require`.
 */
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class CountReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const failures = [];
    runner.on('fail', (test, error) =>
      failures.push(`${test.fullTitle()}: ${String(error?.message ?? error).split('\n')[0]}`),
    );
    runner.once('end', () => {
      const file = process.env.MOCHA_COUNTS_FILE;
      if (file === undefined) return;
      const { passes, failures: failed, pending } = this.stats;
      writeFileSync(file, JSON.stringify({ passed: passes, failed, skipped: pending, failures }));
    });
  }
};
