import { expect } from 'chai';
import { importWithout } from '../helpers/import_without';

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
