// The tests whose results must not depend on how kernels share their work: `scripts/test_plans.js` runs them for each way.
module.exports = {
  ...require('../.mocharc.cjs'),
  require: ['./test/helpers/faults.ts'],
  spec: [
    'test/accuracy.test.ts',
    'test/adversarial.test.ts',
    'test/batch_norm.test.ts',
    'test/checklists.test.ts',
    'test/conventions.test.ts',
    'test/counting.test.ts',
    'test/cuda/counters.test.ts',
    'test/cuda/determinism.test.ts',
    'test/cuda/graph.test.ts',
    'test/functional.test.ts',
    'test/gradient.test.ts',
    'test/in_place.test.ts',
    'test/property.test.ts',
    'test/vectors.test.ts',
  ],
};
