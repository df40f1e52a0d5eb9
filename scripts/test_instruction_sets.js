// The tests of the arithmetic with the CPU kernels of each instruction set but the best, which the other tests use:
//   node scripts/test_instruction_sets.js
const { spawnSync } = require('node:child_process');
const { INSTRUCTION_SETS, worksHere } = require('./instruction_sets.js');

const here = INSTRUCTION_SETS.filter(worksHere);
const failed = here.slice(0, -1).filter((isa) => {
  console.log(`\n=== ${isa} ===`);
  const env = { ...process.env, CUDA_BATCHNORM_ISA: isa, CUDA_BATCHNORM_TEST_DEVICE: 'cpu' };
  const { status, error } = spawnSync('npx', ['mocha', '--config', 'test/arithmetic.mocharc.cjs'], { stdio: 'inherit', env });
  if (error) throw error;
  return status !== 0;
});
console.log(
  failed.length === 0
    ? `\ninstruction sets: ${here.length - 1} besides ${here.at(-1)} passed`
    : `\ninstruction sets: FAILED: ${failed.join(', ')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
