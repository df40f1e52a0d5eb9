const { existsSync, readFileSync } = require('node:fs');

/** The values of CUDA_BATCHNORM_ISA, the best last. */
const INSTRUCTION_SETS = ['baseline', 'avx2', 'avx512'];

/** What the processor says of itself, where the system tells (Linux); the baseline works everywhere. */
function worksHere(isa) {
  const processor = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  return isa === 'baseline' || new RegExp(`\\b${isa === 'avx512' ? 'avx512f' : isa}\\b`).test(processor);
}

module.exports = { INSTRUCTION_SETS, worksHere };
