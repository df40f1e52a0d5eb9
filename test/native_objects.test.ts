import { expect } from 'chai';
import { addon, DTYPE_CODES, type NativeBuffer, type NativeStream } from '../lib/addon';

describe('native objects', () => {
  const device = addon().device('cpu');
  const stream = device.defaultStream;

  it('are told from each other, and from any other object', () => {
    const buffer = device.allocate(16, stream);
    const fill = (destination: unknown) => () => stream.fill(destination as NativeBuffer, DTYPE_CODES.float32, 4, 1);
    expect(fill(buffer)).not.to.throw();
    for (const other of [device, stream, {}, Object.create(buffer), null, 7]) {
      expect(fill(other)).to.throw('Expected NativeBuffer for destination but received');
    }
    expect(() => device.allocate(16, buffer as unknown as NativeStream)).to.throw('Expected NativeStream for stream but received');
    buffer.release();
  });

  it('that hold memory take another block only after the first was released', () => {
    const buffer = device.allocate(16, stream);
    expect(() => buffer.renew(32, stream)).to.throw('Expected a released buffer to renew but received a live one');
    buffer.release();
    buffer.renew(32, stream);
    expect(buffer.byteLength).to.equal(32);
    stream.fill(buffer, DTYPE_CODES.float32, 8, 1);
    expect(() => stream.fill(buffer, DTYPE_CODES.float32, 9, 1)).to.throw('Expected at least 36 bytes for destination but received 32');
    buffer.release();
  });
});
