// The tests of the arithmetic: `scripts/test_instruction_sets.js` runs them for each instruction set, and they are the most of plans.mocharc.cjs.
module.exports = {
  ...require('../.mocharc.cjs'),
  spec: [
    'test/accuracy.test.ts',
    'test/adversarial.test.ts',
    'test/batch_norm.test.ts',
    'test/checklists.test.ts',
    'test/conventions.test.ts',
    'test/counting.test.ts',
    'test/functional.test.ts',
    'test/gradient.test.ts',
    'test/in_place.test.ts',
    'test/property.test.ts',
    'test/renorm.test.ts',
    'test/vectors.test.ts',
    'test/virtual_batches.test.ts',
  ],
};
