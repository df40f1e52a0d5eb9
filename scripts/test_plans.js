// The tests of the arithmetic with every kind of team forced upon the kernels, and on older GPUs. For an emulated or a real GPU:
//   node scripts/with_variant.js emulated cuda:0 node scripts/test_plans.js [PLAN ...]
// A plan is the value of CUDA_BATCHNORM_PLAN, the name of a GPU that the emulator plays, or 'GPU VALUE'. Each runs its threads in another
// order.
const { spawnSync } = require('node:child_process');

const PLANS = ['team=block', 'team=cluster', 'A100 team=grid,kept=50', 'kept=0', 'T4'];

function settings(plan) {
  const words = plan.split(' ');
  const choice = words.find((word) => word.includes('='));
  const gpu = words.filter((word) => word !== choice).join(' ');
  return { ...(choice && { CUDA_BATCHNORM_PLAN: choice }), ...(gpu && { CUDA_BATCHNORM_EMULATED_GPU: gpu }) };
}

function test(plan, seed) {
  console.log(`\n=== ${plan}, seed ${seed} ===`);
  const args = ['mocha', '--config', 'test/plans.mocharc.cjs'];
  const { status, error } = spawnSync('npx', args, {
    stdio: 'inherit',
    env: { CUDA_BATCHNORM_EMULATED_SEED: seed, ...process.env, ...settings(plan) },
  });
  if (error) throw error;
  return status === 0;
}

const plans = process.argv.length > 2 ? process.argv.slice(2) : PLANS;
const failed = plans.filter((plan, i) => !test(plan, String(i + 1)));
console.log(failed.length === 0 ? `\nplans: all ${plans.length} passed` : `\nplans: FAILED: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
