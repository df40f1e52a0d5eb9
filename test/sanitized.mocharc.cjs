// The tests that are worth a sanitizer's time on any device: `mocha --config test/sanitized.mocharc.cjs`. How many bytes kernels move, and in
// what order their threads run, is not: that is seen without one, and takes most of the time with one.
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
  ignore: ['test/cuda/counters.test.ts', 'test/cuda/determinism.test.ts'],
};
