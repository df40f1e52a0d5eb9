/** Importing a file where some packages are missing. */

import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');

/** Imports a file in a process where packages whose names begin so cannot be found; the printed code and message of the error. */
export function importWithout(missing: string, file: string): string {
  const program = `
    const Module = require('node:module');
    const find = Module._resolveFilename;
    Module._resolveFilename = function (name, ...rest) {
      if (name.startsWith('${missing}')) throw Object.assign(new Error('Cannot find module ' + name), { code: 'MODULE_NOT_FOUND' });
      return find.call(this, name, ...rest);
    };
    try { require(${JSON.stringify(join(ROOT, file))}); console.log('imported'); } catch (error) { console.log(error.code, error.message); }`;
  return execFileSync(process.execPath, ['--import', 'tsx', '-e', program], { cwd: ROOT, encoding: 'utf8' });
}
