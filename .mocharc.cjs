// Files of tests run side by side, for few tests keep more than one core busy; what a file says is printed when it is through.
const { availableParallelism } = require('node:os');

module.exports = {
  'node-option': ['import=tsx', 'expose-gc'],
  timeout: 60000,
  'fail-zero': true,
  'forbid-only': true,
  parallel: true,
  jobs: Math.min(4, availableParallelism()), // the CPU device has a thread for each core, in each process
};
