// The tests whose results must not depend on how kernels share their work: `scripts/test_plans.js` runs them for each way.
const arithmetic = require('./arithmetic.mocharc.cjs');

module.exports = {
  ...arithmetic,
  require: ['./test/helpers/faults.ts'],
  spec: [...arithmetic.spec, 'test/cuda/counters.test.ts', 'test/cuda/determinism.test.ts', 'test/cuda/graph.test.ts'],
};
