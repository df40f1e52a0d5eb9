// Lints the C++ sources with clang-tidy, by the compile commands of the emulated variant: there, and with or without nvcc, kernels are C++.
// clang-tidy is no npm package: where it is not installed this says so and passes.
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { root, sources } = require('./sources.js');

const database = path.join('out', 'emulated');

function lint(file) {
  return new Promise((resolve) => {
    const tidy = spawn('clang-tidy', ['--quiet', '-p', database, file], { cwd: root });
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
  if (!fs.existsSync(path.join(root, database, 'compile_commands.json'))) {
    throw new Error(`no ${database}/compile_commands.json: run \`npm run build:emulated\` first`);
  }
  const files = sources(['native', path.join('test', 'cudnn'), path.join('test', 'emulator')], ['.cc', '.cu']).filter(
    (file) => !file.endsWith('_test.cc'),
  );
  if (!(await lintAll(files))) throw new Error('clang-tidy has something to say, see above');
  console.log(`clang-tidy: ${files.length} files`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
