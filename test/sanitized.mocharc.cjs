// The tests that are worth a sanitizer's time on any device: `mocha --config test/sanitized.mocharc.cjs`.
module.exports = {
  ...require('../.mocharc.cjs'),
  spec: [
    'test/batch_norm.test.ts',
    'test/cuda/*.test.ts',
    'test/cudnn/*.test.ts',
    'test/functional.test.ts',
    'test/memory.test.ts',
    'test/sanitizer/*.test.ts',
    'test/tensor.test.ts',
    'test/worker.test.ts',
  ],
};
