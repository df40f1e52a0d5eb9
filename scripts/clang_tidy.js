// Lints the C++ sources with clang-tidy, by the compile commands of the emulated variant: there, and with or without nvcc, CUDA kernels are
// C++. What is not part of it, CPU kernels of some instruction sets, is linted as it is in the release.
// clang-tidy is no npm package: where it is not installed this says so and passes.
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { root, sources } = require('./sources.js');

const scripts = { emulated: 'emulated', release: 'native' };

/** The files that a variant is compiled of. */
function compiled(variant) {
  const database = path.join(root, 'out', variant, 'compile_commands.json');
  if (!fs.existsSync(database)) throw new Error(`no out/${variant}/compile_commands.json: run \`npm run build:${scripts[variant]}\` first`);
  return new Set(JSON.parse(fs.readFileSync(database, 'utf8')).map(({ file }) => path.relative(root, file)));
}

function lint({ file, variant }) {
  return new Promise((resolve) => {
    const tidy = spawn('clang-tidy', ['--quiet', '-p', path.join('out', variant), file], { cwd: root });
    let output = '';
    tidy.stdout.on('data', (text) => {
      output += text;
    });
    tidy.on('close', (status) => {
      if (output) console.log(output);
      resolve(status === 0);
    });
  });
}

async function lintAll(files) {
  const waiting = [...files];
  let clean = true;
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) clean = (await lint(file)) && clean;
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker));
  return clean;
}

async function main() {
  if (spawnSync('clang-tidy', ['--version']).error) {
    console.log('clang-tidy: not installed, the C++ sources are not linted (apt-get install clang-tidy)');
    return;
  }
  const emulated = compiled('emulated');
  const released = compiled('release');
  const files = sources(['native', path.join('test', 'cudnn'), path.join('test', 'emulator')], ['.cc', '.cu'])
    .filter((file) => !file.endsWith('_test.cc'))
    .map((file) => ({ file, variant: !emulated.has(file) && released.has(file) ? 'release' : 'emulated' }));
  if (!(await lintAll(files))) throw new Error('clang-tidy has something to say, see above');
  console.log(`clang-tidy: ${files.length} files`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
