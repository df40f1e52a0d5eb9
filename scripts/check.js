// Everything a reviewer would ask for, step by step, each named; all steps run, and the failed ones are listed at the end.
//   npm run check                      everything
//   npm run check -- --skip tests      without the unit tests (where they just ran)
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { root } = require('./sources.js');

const steps = [
  ['TypeScript format', 'biome format --error-on-warnings'],
  ['C++ format', 'node scripts/clang_format.js'],
  ['TypeScript lint', 'biome lint --error-on-warnings'],
  ['types', 'tsc'],
  ['native build with warnings as errors, native tests', 'npm run --silent test:native'],
  ['emulated build with warnings as errors', 'npm run --silent build:emulated'],
  ['C++ lint', 'node scripts/clang_tidy.js'],
  ['library', 'npm run --silent build:lib'],
  ['tests', 'npm test --silent'],
  ['package tests', 'npm run --silent test:package'],
  ['publint', 'publint --strict'],
  ['types of the package', 'attw --pack --profile node16'],
  ['documentation', 'npm run --silent docs'],
];

const { values } = parseArgs({ options: { skip: { type: 'string', multiple: true, default: [] } } });
const unknown = values.skip.filter((name) => !steps.some(([step]) => step === name));
if (unknown.length > 0) throw new Error(`Expected a step's name for --skip but received ${unknown.join(', ')}`);

const env = {
  ...process.env,
  PATH: [path.join(root, 'node_modules', '.bin'), process.env.PATH].join(path.delimiter),
  CUDA_BATCHNORM_WERROR: 'ON', // in all builds alike, so that no step builds anew what another one built
};
const chosen = steps.filter(([name]) => !values.skip.includes(name));
const failed = [];
for (const [index, [name, command]] of chosen.entries()) {
  console.log(`\n[${index + 1}/${chosen.length}] ${name}: ${command}`);
  const start = Date.now();
  const { status } = spawnSync(command, { cwd: root, env, shell: true, stdio: 'inherit' });
  console.log(`[${index + 1}/${chosen.length}] ${name}: ${status === 0 ? 'ok' : 'FAILED'}, ${((Date.now() - start) / 1000).toFixed(1)} s`);
  if (status !== 0) failed.push(name);
}
console.log(failed.length === 0 ? `\ncheck: all ${chosen.length} steps passed` : `\ncheck: FAILED: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
