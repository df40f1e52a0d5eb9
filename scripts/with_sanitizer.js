// Runs the native tests, then a command, with an addon built under a sanitizer:
//   node scripts/with_sanitizer.js asan|tsan COMMAND [ARGUMENT ...]
// A report makes the process that it is about end with an error.
const { execFileSync, spawnSync } = require('node:child_process');
const { existsSync, readFileSync } = require('node:fs');
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

function run([command, ...rest], options) {
  const { status, error } = spawnSync(command, rest, { stdio: 'inherit', ...options });
  if (error) throw error;
  return status === 0;
}

function main() {
  const [variant, ...command] = process.argv.slice(2);
  if (!(variant in sanitizers) || command.length === 0)
    throw new Error('usage: node scripts/with_sanitizer.js asan|tsan COMMAND [ARGUMENT ...]');
  const { library, options } = sanitizers[variant];
  const folder = path.join(path.dirname(__dirname), 'out', variant);
  if (!buildNative(variant)) return false;
  if (!run(['ctest', '--test-dir', folder, '--output-on-failure'], { env: { ...process.env, ...options } })) return false;
  const env = { ...process.env, ...options, CUDA_BATCHNORM_VARIANT: variant, LD_PRELOAD: runtime(folder, library) };
  return run(command, { env });
}

try {
  process.exitCode = main() ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
