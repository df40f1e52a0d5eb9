// Tests an addon that was built for tests, which is brought up to date first:
//   node scripts/with_variant.js VARIANT                           runs its native tests
//   node scripts/with_variant.js VARIANT DEVICE COMMAND [ARG ...]  runs a command on it, with the tests' device named
// The variants are those of build_native.js. A sanitizer's report makes the process that it is about end with an error.
const { execFileSync, spawnSync } = require('node:child_process');
const { existsSync, readFileSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const path = require('node:path');
const { buildNative } = require('./build_native.js');

const sanitizers = {
  // Node itself keeps memory until the very end, so leaks are not looked for; the tests count the pool's bytes instead.
  asan: { library: 'libasan.so', options: { ASAN_OPTIONS: 'detect_leaks=0:halt_on_error=1' } },
  // Node is not instrumented: what it does between its own threads is not seen, and not to be judged.
  tsan: { library: 'libtsan.so', options: { TSAN_OPTIONS: 'ignore_noninstrumented_modules=1:halt_on_error=1' } },
};

/** The runtime of the compiler that built the folder. Node does not link it, so it has to be loaded first. */
function runtime(folder, library) {
  const [, compiler] = /^CMAKE_CXX_COMPILER:\w+=(.*)$/m.exec(readFileSync(path.join(folder, 'CMakeCache.txt'), 'utf8'));
  const file = execFileSync(compiler, [`-print-file-name=${library}`], { encoding: 'utf8' }).trim();
  if (!existsSync(file)) throw new Error(`${compiler} has no ${library}: the sanitized variants need g++ and its sanitizer libraries`);
  return file;
}

function run([command, ...rest], env) {
  const { status, error } = spawnSync(command, rest, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (error) throw error;
  return status === 0;
}

function main() {
  const [variant, device, ...command] = process.argv.slice(2);
  if (!variant || (device && command.length === 0))
    throw new Error('usage: node scripts/with_variant.js VARIANT [DEVICE COMMAND [ARG ...]]');
  const folder = path.join(path.dirname(__dirname), 'out', variant);
  const sanitizer = sanitizers[variant];
  if (!buildNative(variant)) return false;
  if (!device)
    return run(['ctest', '--test-dir', folder, '--output-on-failure', '--parallel', String(availableParallelism())], sanitizer?.options);
  return run(command, {
    ...sanitizer?.options,
    ...(sanitizer && { LD_PRELOAD: runtime(folder, sanitizer.library) }),
    // 'auto' finds no emulated GPU where the tests are about the CPU.
    ...(device === 'cpu' && { CUDA_BATCHNORM_EMULATED_DEVICES: '0' }),
    CUDA_BATCHNORM_VARIANT: variant,
    CUDA_BATCHNORM_TEST_DEVICE: device,
  });
}

try {
  process.exitCode = main() ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
