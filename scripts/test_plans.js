// The tests of the arithmetic with every kind of team forced upon the kernels, and on older GPUs. For an emulated or a real GPU:
//   node scripts/with_variant.js emulated cuda:0 node scripts/test_plans.js [PLAN ...]
// A plan is the value of CUDA_BATCHNORM_PLAN, the name of a GPU that the emulator plays, or 'GPU VALUE'. Each runs its threads in another
// order. As many run at once as there are cores, for one takes little more than one; what a run says is printed when it is through.
const { spawn } = require('node:child_process');
const { availableParallelism } = require('node:os');

const PLANS = ['team=block', 'team=cluster', 'A100 team=grid,kept=50', 'kept=0', 'T4'];

function settings(plan) {
  const words = plan.split(' ');
  const choice = words.find((word) => word.includes('='));
  const gpu = words.filter((word) => word !== choice).join(' ');
  return { ...(choice && { CUDA_BATCHNORM_PLAN: choice }), ...(gpu && { CUDA_BATCHNORM_EMULATED_GPU: gpu }) };
}

const running = new Set();

function show({ plan, seed, said }) {
  console.log(`\n=== ${plan}, seed ${seed} ===`);
  process.stdout.write(Buffer.concat(said));
}

function test(plan, seed) {
  console.log(`plans: ${plan}, seed ${seed}, begins`);
  const child = spawn('npx', ['mocha', '--config', 'test/plans.mocharc.cjs', '--no-parallel'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, so that those it starts end with it
    env: { CUDA_BATCHNORM_EMULATED_SEED: seed, ...process.env, ...settings(plan) },
  });
  const run = { plan, seed, child, said: [] };
  running.add(run);
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => run.said.push(data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      running.delete(run);
      show(run);
      resolve(status === 0);
    });
  });
}

// When time is up, what was seen until then is still worth its lines.
for (const [signal, status] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
]) {
  process.on(signal, () => {
    for (const run of running) {
      process.kill(-run.child.pid);
      show(run);
    }
    process.exit(status);
  });
}

async function main() {
  const plans = process.argv.length > 2 ? process.argv.slice(2) : PLANS;
  const waiting = plans.map((plan, i) => ({ plan, seed: String(i + 1) }));
  const failed = [];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (!(await test(next.plan, next.seed))) failed.push(next.plan);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  console.log(failed.length === 0 ? `\nplans: all ${plans.length} passed` : `\nplans: FAILED: ${failed.join(', ')}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

main();
