import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect } from 'chai';

const ROOT = resolve(__dirname, '../..');

/** Imports a file in a process where packages whose names begin so cannot be found; the printed code and message of the error. */
function importWithout(missing: string, file: string): string {
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

describe('what interop needs', () => {
  it('is asked for by name where it is missing: the reader of protocol buffers, for ONNX', () => {
    const said = importWithout('@bufbuild/', 'lib/interop/onnx/index.ts');
    expect(said).to.match(/^MODULE_NOT_FOUND .*npm install @bufbuild\/protobuf/);
  });

  it('is nothing for Keras, not even TensorFlow.js', () => {
    expect(importWithout('@', 'lib/interop/keras.ts')).to.equal('imported\n');
  });

  it('is not needed by the package itself', () => {
    expect(importWithout('@', 'lib/index.ts')).to.equal('imported\n');
  });
});
