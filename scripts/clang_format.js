// Checks the format of the C++ sources; with -i, rewrites them.
const { spawnSync } = require('node:child_process');
const { getNativeBinary } = require('clang-format');
const { root, sources } = require('./sources.js');

const files = sources(['native', 'test', 'examples'], ['.h', '.cc', '.cu', '.cuh']);
const mode = process.argv[2] === '-i' ? ['-i'] : ['--dry-run', '--Werror'];
const { status } = spawnSync(getNativeBinary(), [...mode, ...files], { cwd: root, stdio: 'inherit' });
if (status === 0) console.log(`clang-format: ${files.length} files`);
process.exitCode = status ?? 1;
