// Builds the addon into out/<variant>: node scripts/build_native.js [VARIANT] [--strict]
// --strict: warnings are errors, and the native tests are built too. Never by itself: other compilers have other warnings.
// Environment: CUDA_BATCHNORM_CUDA=OFF leaves CUDA out, CUDAARCHS names the compute capabilities to compile for,
// CUDA_BATCHNORM_WERROR=ON makes warnings errors in every build.
const { spawnSync } = require('node:child_process');
const { existsSync, readFileSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const path = require('node:path');

const root = path.dirname(__dirname);
const withoutCuda = /^(off|0|no|false)$/i.test(process.env.CUDA_BATCHNORM_CUDA ?? '');
// All but the first are for tests: their GPU is emulated, and they need no nvcc.
const variants = {
  release: { CUDA_BATCHNORM_CUDA: withoutCuda ? 'OFF' : 'ON' },
  emulated: { CUDA_BATCHNORM_EMULATED: 'ON' },
  asan: { CUDA_BATCHNORM_EMULATED: 'ON', CUDA_BATCHNORM_SANITIZE: 'address' },
  tsan: { CUDA_BATCHNORM_EMULATED: 'ON', CUDA_BATCHNORM_SANITIZE: 'thread' },
};

function cmakeJs(command, folder, options) {
  const definitions = Object.entries(options).map(([name, value]) => `--CD${name}=${value}`);
  const program = require.resolve('cmake-js/bin/cmake-js');
  const parallel = ['--parallel', String(availableParallelism())]; // Make, unlike Ninja, has to be told
  const { status } = spawnSync(process.execPath, [program, command, '--out', folder, ...parallel, ...definitions], {
    cwd: root,
    stdio: 'inherit',
  });
  return status === 0;
}

/** Whether out/<variant> now holds an addon made of these sources. */
function buildNative(variant, strict = false) {
  if (!(variant in variants)) throw new Error(`Expected ${Object.keys(variants).join(', ')} for the variant but received ${variant}`);
  const folder = path.join(root, 'out', variant);
  const options = {
    CUDA_BATCHNORM_WERROR: strict ? 'ON' : process.env.CUDA_BATCHNORM_WERROR || 'OFF',
    CUDA_BATCHNORM_NATIVE_TESTS: strict || variant !== 'release' ? 'ON' : 'OFF',
    ...variants[variant],
  };
  // "build" alone would keep the options of the first time; a folder of another compiler or generator has to go.
  const configured =
    cmakeJs('configure', folder, options) || (existsSync(path.join(folder, 'CMakeCache.txt')) && cmakeJs('reconfigure', folder, options));
  return configured && cmakeJs('build', folder, options);
}

/** The CUDA compiler that the last build of out/<variant> used, or undefined. */
function cudaCompiler(variant) {
  const cache = path.join(root, 'out', variant, 'CMakeCache.txt');
  if (withoutCuda || !existsSync(cache)) return undefined;
  return /^CMAKE_CUDA_COMPILER:\w+=(?!.*NOTFOUND$)(.+)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
}

module.exports = { buildNative, cudaCompiler };

if (require.main === module) {
  const given = process.argv.slice(2);
  const [variant = 'release'] = given.filter((argument) => argument !== '--strict');
  process.exitCode = buildNative(variant, given.includes('--strict')) ? 0 : 1;
}
