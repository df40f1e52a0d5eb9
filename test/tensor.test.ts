import { inspect } from 'node:util';
import { expect } from 'chai';
import { type DType, type NumericArray, Tensor } from '../lib/index';
import { DTYPES, round } from '../lib/validation/number_format';
import { device } from './helpers/device';
import { expectError, expectRejection } from './helpers/failure';
import { skip } from './helpers/shared';

const valuesOf = (tensor: Tensor) => [...tensor.readSync()];

describe('Tensor', () => {
  describe('from', () => {
    it('knows its shape, dtype, device and sizes', () => {
      const tensor = Tensor.from([1, 2, 3, 4, 5, 6], [2, 3], { device });
      expect(tensor.shape).to.deep.equal([2, 3]);
      expect(tensor).to.include({ dtype: 'float32', size: 6, byteLength: 24, disposed: false });
      expect(tensor.device).to.equal(device);
      expect(tensor.pointer > 0n).to.equal(true);
      expect(`${tensor}`).to.equal(`Tensor float32 [2, 3] on ${device.name}`);
      expect(inspect({ tensor })).to.equal(`{ tensor: Tensor float32 [2, 3] on ${device.name} }`);
    });

    it('takes every numeric array by value', () => {
      const kinds = [
        Int8Array,
        Uint8Array,
        Uint8ClampedArray,
        Int16Array,
        Uint16Array,
        Int32Array,
        Uint32Array,
        Float32Array,
        Float64Array,
      ];
      for (const dtype of DTYPES) {
        for (const Kind of kinds)
          expect(valuesOf(Tensor.from(new Kind([0, 1, 100]), [3], { device, dtype })), Kind.name).to.deep.equal([0, 1, 100]);
        expect(valuesOf(Tensor.from([0, 1, 100], [3], { device, dtype }))).to.deep.equal([0, 1, 100]);
      }
    });

    it('takes a Float16Array where the runtime has it', function () {
      const Float16 = (globalThis as { Float16Array?: new (values: number[]) => NumericArray }).Float16Array;
      if (Float16 === undefined) return skip(this, `Node.js ${process.version} has no Float16Array`);
      for (const dtype of DTYPES) expect(valuesOf(Tensor.from(new Float16([0.5, -2]), [2], { device, dtype }))).to.deep.equal([0.5, -2]);
    });

    it('is float64 for a Float64Array and float32 otherwise, unless told', () => {
      expect(Tensor.from(new Float64Array(1), [1], { device }).dtype).to.equal('float64');
      expect(Tensor.from(new Int32Array(1), [1], { device }).dtype).to.equal('float32');
      expect(Tensor.from([0], [1], { device }).dtype).to.equal('float32');
      expect(Tensor.from(new Float64Array(1), [1], { device, dtype: 'float32' }).dtype).to.equal('float32');
    });

    it('rounds once', () => {
      const value = 1 + 2 ** -11 + 2 ** -40; // just above the middle of two float16; rounding to float32 first gives the middle itself
      expect(valuesOf(Tensor.from([value], [1], { device, dtype: 'float16' }))).to.deep.equal([1 + 2 ** -10]);
      const large = 2 ** 24 + 1;
      expect(valuesOf(Tensor.from(new Int32Array([large]), [1], { device, dtype: 'float64' }))).to.deep.equal([large]);
      for (const dtype of DTYPES) {
        const values = [1 / 3, -1e-3, 12345.678, 3e-6];
        expect(valuesOf(Tensor.from(values, [4], { device, dtype }))).to.deep.equal(values.map((x) => round(x, dtype)));
      }
    });

    it('copies, also from shared memory and from the middle of a buffer', () => {
      const source = new Float32Array([1, 2, 3]);
      const tensor = Tensor.from(source, [3], { device });
      source.fill(9);
      expect(valuesOf(tensor)).to.deep.equal([1, 2, 3]);
      const shared = new Float32Array(new SharedArrayBuffer(8));
      shared.set([4, 5]);
      expect(valuesOf(Tensor.from(shared, [2], { device }))).to.deep.equal([4, 5]);
      expect(valuesOf(Tensor.from(new Float64Array([1, 2, 3, 4]).subarray(1, 3), [2], { device }))).to.deep.equal([2, 3]);
    });

    it('takes a single value, and no value at all', async () => {
      const scalar = Tensor.from([7], [], { device });
      expect(scalar).to.include({ size: 1, byteLength: 4 });
      expect(valuesOf(scalar)).to.deep.equal([7]);
      const empty = Tensor.from([], [3, 0, 2], { device });
      expect(empty).to.include({ size: 0, byteLength: 0 });
      expect(await empty.read()).to.deep.equal(new Float32Array(0));
      expect(await empty.readBytes()).to.deep.equal(new Uint8Array(0));
      empty.write([]);
      expect(empty.to(device).size).to.equal(0);
    });

    it('refuses what is not a flat array of numbers', () => {
      expectError(
        () =>
          Tensor.from(
            [
              [1, 2],
              [3, 4],
            ] as never,
            [2],
            { device },
          ),
        'ERR_INVALID_ARGUMENT',
        'data[0]',
        '.flat()',
      );
      expectError(() => Tensor.from([1, '2'] as never, [2], { device }), 'ERR_INVALID_ARGUMENT', 'data[1]', "'2'", 'string');
      // biome-ignore lint/suspicious/noSparseArray: the hole is the point
      expectError(() => Tensor.from([1, , 3] as never, [3], { device }), 'ERR_INVALID_ARGUMENT', 'data[1]', 'undefined');
      expectError(() => Tensor.from(new BigInt64Array(2) as never, [2], { device }), 'ERR_INVALID_ARGUMENT', 'BigInts');
      for (const data of ['12', { length: 2 }, new DataView(new ArrayBuffer(8)), new ArrayBuffer(8), new Set([1, 2]), 2, null, undefined]) {
        expectError(() => Tensor.from(data as never, [2], { device }), 'ERR_INVALID_ARGUMENT', 'data');
      }
    });

    it('refuses a length that is not the size, even one that lies', () => {
      expectError(() => Tensor.from([1, 2, 3], [2, 2], { device }), 'ERR_SHAPE', 'length 4', 'data', 'length 3');
      expectError(() => Tensor.from(new Float32Array(5), [2, 2], { device }), 'ERR_SHAPE', 'length 4', 'length 5');
      const liar = Object.defineProperty(new Float32Array(1), 'length', { value: 1000 });
      expectError(() => Tensor.from(liar, [1000], { device }), 'ERR_SHAPE', 'length 1000', 'length 1');
      const impostor = Object.setPrototypeOf([1, 2], Float32Array.prototype);
      expect(valuesOf(Tensor.from(impostor, [2], { device }))).to.deep.equal([1, 2]);
      const disguised = Object.setPrototypeOf(new Float64Array([1, 2]), Float32Array.prototype);
      expect(valuesOf(Tensor.from(disguised, [2], { device }))).to.deep.equal([1, 2]);
    });

    it('refuses shapes that are none, or whose size is beyond counting', () => {
      for (const shape of [undefined, null, 4, '4', { length: 1 }, new Int32Array([4])]) {
        expectError(() => Tensor.zeros(shape as never, { device }), 'ERR_INVALID_ARGUMENT', 'shape');
      }
      for (const dimension of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '2', 2n, null, undefined, [2]]) {
        expectError(() => Tensor.zeros([1, dimension] as never, { device }), 'ERR_INVALID_ARGUMENT', 'shape[1]');
      }
      expectError(() => Tensor.zeros(new Array(3) as never, { device }), 'ERR_INVALID_ARGUMENT', 'shape[0]');
      expectError(() => Tensor.empty([2 ** 30, 2 ** 30], { device }), 'ERR_SHAPE', '2^53 - 1');
      expectError(() => Tensor.empty([2 ** 53 - 1], { device }), 'ERR_SHAPE', '2^53 - 1');
      expectError(() => Tensor.empty([2 ** 52, 0, 2 ** 52], { device }), 'ERR_SHAPE', '2^53 - 1');
      expectError(() => Tensor.empty([2 ** 51 - 1], { device }), 'ERR_OUT_OF_MEMORY');
    });

    it('refuses dtypes that are none', () => {
      for (const dtype of ['int32', 'Float32', '', 32, null])
        expectError(() => Tensor.zeros([1], { device, dtype: dtype as never }), 'ERR_DTYPE', 'bfloat16');
    });

    it('keeps its shape whatever becomes of the array it was given', () => {
      const shape = [2, 3];
      const tensor = Tensor.zeros(shape, { device });
      shape[0] = 99;
      expect(tensor.shape).to.deep.equal([2, 3]);
      expect(() => (tensor.shape as number[]).push(1)).to.throw(TypeError);
    });
  });

  it('zeros and full fill; NaN and infinities are values', () => {
    for (const dtype of DTYPES) {
      expect(valuesOf(Tensor.zeros([2, 2], { device, dtype }))).to.deep.equal([0, 0, 0, 0]);
      expect(valuesOf(Tensor.full([3], 1.1, { device, dtype }))).to.deep.equal(new Array(3).fill(round(1.1, dtype)));
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -0]) {
        expect(valuesOf(Tensor.full([1], value, { device, dtype }))[0]).to.satisfy((read: number) => Object.is(read, value));
      }
    }
    for (const value of ['1', 1n, null, undefined, [1]])
      expectError(() => Tensor.full([1], value as never, { device }), 'ERR_INVALID_ARGUMENT', 'value');
  });

  it('reads values as Float32Array, float64 as Float64Array', async () => {
    for (const dtype of DTYPES) {
      const tensor = Tensor.from([1, 2], [2], { device, dtype });
      const kind = dtype === 'float64' ? Float64Array : Float32Array;
      expect(await tensor.read()).to.deep.equal(new kind([1, 2]));
      expect(tensor.readSync()).to.deep.equal(new kind([1, 2]));
    }
  });

  it('reads bytes as they are, and fromBytes is the inverse', async () => {
    const one: Record<DType, number[]> = {
      float32: [0, 0, 0x80, 0x3f],
      float64: [0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
      float16: [0, 0x3c],
      bfloat16: [0x80, 0x3f],
    };
    for (const dtype of DTYPES) {
      const tensor = Tensor.from([1, -2.5, Number.NaN], [3], { device, dtype });
      const bytes = await tensor.readBytes();
      expect([...bytes.subarray(0, one[dtype].length)]).to.deep.equal(one[dtype]);
      const misaligned = new Uint8Array(bytes.length + 1).subarray(1);
      misaligned.set(bytes);
      const copy = Tensor.fromBytes(misaligned, [3], { device, dtype });
      expect(await copy.readBytes()).to.deep.equal(bytes);
    }
    expectError(() => Tensor.fromBytes(new Uint8Array(5), [2], { device, dtype: 'float16' }), 'ERR_SHAPE', 'length 4', 'bytes', 'length 5');
    for (const bytes of [[1, 2, 3, 4], new Uint16Array(2), new ArrayBuffer(4), null]) {
      expectError(() => Tensor.fromBytes(bytes as never, [1], { device }), 'ERR_INVALID_ARGUMENT', 'bytes');
    }
  });

  it('writes in the order of the calls', async () => {
    const tensor = Tensor.full([3], 1, { device });
    const first = tensor.read();
    tensor.write([1, 2, 3]);
    const second = tensor.read();
    tensor.write(new Float64Array([4, 5, 6]));
    expect([...(await first)]).to.deep.equal([1, 1, 1]);
    expect([...(await second)]).to.deep.equal([1, 2, 3]);
    expect(valuesOf(tensor)).to.deep.equal([4, 5, 6]);
    expectError(() => tensor.write([1, 2]), 'ERR_SHAPE', 'length 3', 'length 2');
    expectError(() => tensor.write([1, 2, null] as never), 'ERR_INVALID_ARGUMENT', 'data[2]');
    expect(valuesOf(tensor)).to.deep.equal([4, 5, 6]);
  });

  it('to gives a copy of its own', () => {
    const tensor = Tensor.from([1, 2], [2], { device, dtype: 'bfloat16' });
    const copy = tensor.to(device);
    tensor.write([3, 4]);
    expect(copy).to.not.equal(tensor);
    expect(copy.dtype).to.equal('bfloat16');
    expect(valuesOf(copy)).to.deep.equal([1, 2]);
    for (const target of [undefined, null, 3, {}]) expectError(() => tensor.to(target as never), 'ERR_INVALID_ARGUMENT', 'device');
  });

  describe('fromPointer', () => {
    const owner = Tensor.from([1, 2, 3, 4], [4], { device });

    it('sees memory owned elsewhere, and leaves it there', () => {
      const view = Tensor.fromPointer(owner.pointer + 4n, [2], { device });
      expect(valuesOf(view)).to.deep.equal([2, 3]);
      view.write([20, 30]);
      view.dispose();
      expect(valuesOf(owner)).to.deep.equal([1, 20, 30, 4]);
      expectError(() => view.pointer, 'ERR_DISPOSED');
    });

    it('refuses null, misaligned and other pointers', () => {
      for (const pointer of [0n, -8n, owner.pointer + 2n, 1n << 64n, (1n << 64n) - 4n, 64, '64', null, undefined]) {
        expectError(() => Tensor.fromPointer(pointer as never, [4], { device }), 'ERR_INVALID_ARGUMENT', 'pointer');
      }
      expectError(
        () => Tensor.fromPointer(owner.pointer + 4n, [1], { device, dtype: 'float64' }),
        'ERR_INVALID_ARGUMENT',
        'a multiple of 8',
      );
      expectError(() => Tensor.fromPointer(owner.pointer, [1], {} as never), 'ERR_INVALID_ARGUMENT', 'options.device');
      expectError(() => Tensor.fromPointer(owner.pointer, [1], undefined as never), 'ERR_INVALID_ARGUMENT', 'options.device');
      expectError(() => Tensor.fromPointer(owner.pointer, [1], { device, stream: null } as never), 'ERR_INVALID_ARGUMENT', "'stream'");
    });
  });

  it('refuses everything but its plain facts once disposed', async () => {
    const tensor = Tensor.zeros([2, 2], { device });
    tensor.dispose();
    tensor.dispose();
    expect(tensor).to.include({ disposed: true, size: 4, dtype: 'float32' });
    expect(`${tensor}`).to.include('disposed');
    expectError(() => tensor.pointer, 'ERR_DISPOSED');
    expectError(() => tensor.readSync(), 'ERR_DISPOSED');
    expectError(() => tensor.write([1, 2, 3, 4]), 'ERR_DISPOSED');
    expectError(() => tensor.to(device), 'ERR_DISPOSED');
    await expectRejection(tensor.read(), 'ERR_DISPOSED');
    await expectRejection(tensor.readBytes(), 'ERR_DISPOSED');
  });

  it('is disposed by using', () => {
    let escaped: Tensor;
    {
      using tensor = Tensor.zeros([1], { device });
      escaped = tensor;
    }
    expect(escaped.disposed).to.equal(true);
  });
});
