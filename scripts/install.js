// Builds the addon when the package is installed: with CMake where it is there, else with node-gyp. Nothing is downloaded.
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');
const { buildNative, cudaCompiler } = require('./build_native.js');

const root = path.dirname(__dirname);

/** Each way to build returns why it failed, or nothing. */
function buildWithCMake() {
  if (spawnSync('cmake', ['--version']).status !== 0) return 'cmake was not found on the PATH';
  return buildNative('release') ? undefined : 'the build failed, its output is above';
}

function buildWithNodeGyp() {
  const nvcc = cudaCompiler('release');
  if (nvcc) return `not tried: it leaves CUDA out, and this machine has ${nvcc}`;
  const program = nodeGyp();
  if (!program) return 'node-gyp was not found: npm brings one along and names it in npm_config_node_gyp';
  const prefix = path.dirname(path.dirname(process.execPath));
  if (!existsSync(path.join(prefix, 'include', 'node', 'node_api.h')))
    return `there are no headers of this Node.js in ${prefix}/include/node`;
  const { status } = spawnSync(process.execPath, [program, 'rebuild', `--nodedir=${prefix}`, '--jobs=max'], {
    cwd: root,
    stdio: 'inherit',
  });
  return status === 0 ? undefined : 'the build failed, its output is above';
}

function nodeGyp() {
  if (process.env.npm_config_node_gyp) return process.env.npm_config_node_gyp;
  try {
    return require.resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return undefined;
  }
}

function main() {
  const failures = [];
  for (const [name, build] of [
    ['CMake', buildWithCMake],
    ['node-gyp', buildWithNodeGyp],
  ]) {
    const failure = build();
    if (!failure) return;
    failures.push(`  ${name}: ${failure}`);
  }
  console.error(
    [
      'cuda-batchnorm: the native addon could not be built. Tried:',
      ...failures,
      'What to do: install a C++17 compiler and CMake, then run `npm rebuild cuda-batchnorm`.',
      '  Debian, Ubuntu: apt-get install g++ make cmake',
      '  Fedora: dnf install gcc-c++ make cmake',
      '  macOS: xcode-select --install, brew install cmake',
      'Where CUDA is the cause: the environment variable CUDA_BATCHNORM_CUDA=OFF builds for the CPU alone.',
    ].join('\n'),
  );
  process.exitCode = 1;
}

main();
