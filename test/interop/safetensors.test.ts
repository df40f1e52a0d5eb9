import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNormError, type ErrorCode } from '../../lib/index';
import { halfBits, halfValues } from '../../lib/interop/half';
import {
  encodeSafetensors,
  openSafetensors,
  readSafetensors,
  type SafetensorsTensor,
  writeSafetensors,
} from '../../lib/interop/safetensors';
import { encodeHeader, STORED } from '../../lib/interop/safetensors_header';
import { round } from '../../lib/validation/number_format';
import { temporaryFolder } from '../demo/helpers';
import { expectError, expectRejection } from '../helpers/failure';

/** A file with this header, as text or as what it says, and so many bytes of data. */
function fileWith(header: unknown, dataLength: number, claimed?: bigint): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const file = Buffer.alloc(8 + json.length + dataLength);
  file.writeBigUInt64LE(claimed ?? BigInt(json.length));
  json.copy(file, 8);
  return new Uint8Array(file);
}

const entry = (dtype: unknown, shape: unknown, ...data_offsets: unknown[]) => ({ dtype, shape, data_offsets });
const float = (...values: number[]): SafetensorsTensor => ({ dtype: 'F32', shape: [values.length], data: Float32Array.from(values) });

describe('safetensors files', () => {
  const path = temporaryFolder();

  it('are laid out as the format says', () => {
    const bytes = encodeSafetensors(
      { a: float(1), 'b.c': { dtype: 'F16', shape: [1, 1], data: Uint16Array.of(0x3c00) } },
      { metadata: { k: 'v' } },
    );
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect((8 + length) % 8).to.equal(0);
    const text = Buffer.from(bytes.subarray(8, 8 + length)).toString();
    expect(text).to.match(/^\{.*\} *$/);
    expect(JSON.parse(text)).to.deep.equal({
      __metadata__: { k: 'v' },
      a: entry('F32', [1], 0, 4),
      'b.c': entry('F16', [1, 1], 4, 6),
    });
    expect([...bytes.subarray(8 + length)]).to.deep.equal([0, 0, 0x80, 0x3f, 0, 0x3c]);
  });

  it('have headers of which each is filled up with spaces to a multiple of 8', async () => {
    for (let length = 0; length < 8; ++length) {
      const bytes = encodeSafetensors({ a: float(1) }, { metadata: { k: 'k'.repeat(length) } });
      expect((bytes.length - 4) % 8, `${length} letters`).to.equal(0);
      expect((await readSafetensors(bytes)).metadata).to.deep.equal({ k: 'k'.repeat(length) });
    }
  });

  it('store wide elements first, so that every tensor is aligned', async () => {
    const counter: SafetensorsTensor = { dtype: 'I64', shape: [], data: BigInt64Array.of(-3n) };
    const { tensors } = await readSafetensors(
      encodeSafetensors({ flag: { dtype: 'BOOL', shape: [1], data: Uint8Array.of(1) }, a: float(1), counter }),
    );
    expect([...tensors.keys()]).to.deep.equal(['counter', 'a', 'flag']);
    expect(tensors.get('counter')).to.deep.equal(counter);
  });

  it('of one layer are read without the rest, which may be larger than memory', async () => {
    const file = path('large.safetensors');
    const rest = 2 ** 40; // a file with a hole
    const header = { big: entry('U8', [rest], 8, 8 + rest), 'bn.x': entry('F32', [1], 0, 4), 'bn.y': entry('F32', [1], 4, 8) };
    writeFileSync(file, fileWith(header, 8));
    execFileSync('truncate', ['--size', String(statSync(file).size + rest), file]);
    const { tensors } = await readSafetensors(pathToFileURL(file), { prefix: 'bn.' });
    expect([...tensors]).to.deep.equal([
      ['bn.x', float(0)],
      ['bn.y', float(0)],
    ]);
    const open = await openSafetensors(file);
    expect(open.tensors.get('big')).to.include({ dtype: 'U8', byteLength: rest });
    await expectRejection(open.read('none'), 'ERR_INVALID_ARGUMENT', "'none'", 'large.safetensors');
    await open.close();
    await open.close();
    await expectRejection(open.read('bn.x'), 'ERR_DISPOSED', 'closed');
  });

  it('that shrink after they were opened are refused', async () => {
    const file = path('cut.safetensors');
    await writeSafetensors(file, { a: float(1, 2) });
    const open = await openSafetensors(file);
    truncateSync(file, statSync(file).size - 1);
    await expectRejection(open.read('a'), 'ERR_STATE', 'cut.safetensors');
    await open.close();
    const bytes = encodeSafetensors({ a: float(1, 2) });
    const inMemory = await openSafetensors(bytes);
    structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] });
    await expectRejection(inMemory.read('a'), 'ERR_STATE', 'shorter');
  });

  it('give copies, though their bytes be a Buffer', async () => {
    const bytes = Buffer.from(encodeSafetensors({ a: float(1) }));
    const { tensors } = await readSafetensors(bytes);
    bytes.fill(0);
    expect(tensors.get('a')!.data[0]).to.equal(1);
  });

  it('may have bytes that are not aligned, an empty tensor and no tensor at all', async () => {
    const { tensors } = await readSafetensors(
      fileWith({ a: entry('F32', [1], 0, 4), e: entry('F32', [0, 7], 4, 4), z: entry('F32', [0], 0, 0) }, 4),
    );
    expect(tensors.get('a')).to.deep.equal(float(0));
    expect(tensors.get('e')!.shape).to.deep.equal([0, 7]);
    expect((await readSafetensors(fileWith('{}', 0))).tensors.size).to.equal(0);
  });

  const dtypes = Object.keys(STORED) as (keyof typeof STORED)[];
  const tensor = fc
    .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.nat(4), { maxLength: 4 }), seed: fc.nat(255) })
    .map((one) => {
      const { size, ArrayType } = STORED[one.dtype];
      const bytes = Uint8Array.from({ length: one.shape.reduce((a, b) => a * b, size) }, (_, i) => 31 * i + one.seed);
      return { dtype: one.dtype, shape: one.shape, data: new ArrayType(bytes.buffer) } as SafetensorsTensor;
    });
  const name = fc
    .string({ unit: 'binary' })
    .filter((text) => text !== '__metadata__' && text !== '__proto__' && !/\p{Surrogate}/u.test(text));
  const content = fc.record({ tensors: fc.array(fc.tuple(name, tensor), { maxLength: 6 }), metadata: fc.dictionary(name, fc.string()) });

  it('survive a round trip, whatever is in them', async () => {
    const property = fc.asyncProperty(content, async ({ tensors, metadata }) => {
      const given = new Map(tensors);
      const read = await readSafetensors(encodeSafetensors(given, { metadata }));
      expect([...read.tensors.keys()].sort()).to.deep.equal([...given.keys()].sort());
      for (const [key, one] of given) expect(read.tensors.get(key)).to.deep.equal(one);
      expect({ ...read.metadata }).to.deep.equal({ ...metadata });
      const again = encodeSafetensors(read.tensors, { metadata });
      expect((await readSafetensors(again)).tensors).to.deep.equal(read.tensors);
    });
    await fc.assert(property, { numRuns: 200 });
  });

  it('are refused in words, never worse, with any bytes changed', async () => {
    const base = encodeSafetensors(
      { 'bn.weight': float(1, 2), n: { dtype: 'I64', shape: [], data: BigInt64Array.of(1n) } },
      { metadata: { a: 'b' } },
    );
    const change = fc.tuple(fc.nat(base.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[],:"\\0123456789-e. '))));
    const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), fc.nat(40), async (changes, cut) => {
      const bytes = base.slice(0, base.length - (cut < 30 ? 0 : cut));
      for (const [index, value] of changes) bytes[index] = value;
      await readSafetensors(bytes).catch((error: unknown) => {
        if (!(error instanceof BatchNormError)) throw error;
      });
    });
    await fc.assert(property, { numRuns: 1000 });
  });

  const A = entry('F32', [1], 0, 4);
  const malicious: [what: string, bytes: Uint8Array, code: ErrorCode, words: string][] = [
    ['empty', new Uint8Array(0), 'ERR_INVALID_ARGUMENT', '0 bytes'],
    ['7 bytes', new Uint8Array(7), 'ERR_INVALID_ARGUMENT', '7 bytes'],
    ['no header', new Uint8Array(8), 'ERR_INVALID_ARGUMENT', "'{'"],
    ['a header longer than the file', fileWith('{}', 0, 3n), 'ERR_INVALID_ARGUMENT', 'a header of 3 bytes'],
    ['a header over the limit', fileWith('{}', 0, 100_000_001n), 'ERR_INVALID_ARGUMENT', '100000000'],
    ['a header of 2^64 − 1 bytes', fileWith('{}', 0, 2n ** 64n - 1n), 'ERR_INVALID_ARGUMENT', '18446744073709551615'],
    ['no JSON', fileWith('{"a"', 0), 'ERR_INVALID_ARGUMENT', 'no JSON'],
    ['two JSON texts', fileWith('{}{}', 0), 'ERR_INVALID_ARGUMENT', 'no JSON'],
    ['no UTF-8', fileWith('{"a":1}', 0).map((b) => (b === 0x61 ? 0xff : b)), 'ERR_INVALID_ARGUMENT', 'no JSON'],
    ['an array', fileWith('[]', 0), 'ERR_INVALID_ARGUMENT', "'{'"],
    ['a space before it', fileWith(' {}', 0), 'ERR_INVALID_ARGUMENT', "'{'"],
    ['deep nesting', fileWith(`{"a":${'['.repeat(100_000)}`, 0), 'ERR_INVALID_ARGUMENT', 'deeper'],
    ['a name twice', fileWith(`{"a":${JSON.stringify(A)},"a":${JSON.stringify(A)}}`, 4), 'ERR_INVALID_ARGUMENT', '"a" twice'],
    [
      'a name twice, once escaped',
      fileWith(`{"a":${JSON.stringify(A)},"\\u0061":${JSON.stringify(A)}}`, 4),
      'ERR_INVALID_ARGUMENT',
      '"a" twice',
    ],
    [
      'a field twice',
      fileWith('{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4),
      'ERR_INVALID_ARGUMENT',
      '"shape" twice',
    ],
    ['__proto__', fileWith('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), 'ERR_INVALID_ARGUMENT', '__proto__'],
    ['__proto__ in metadata', fileWith('{"__metadata__":{"__proto__":"x"}}', 0), 'ERR_INVALID_ARGUMENT', '__proto__'],
    ['metadata that is no text', fileWith({ __metadata__: { a: 1 } }, 0), 'ERR_INVALID_ARGUMENT', '__metadata__'],
    ['metadata that is a list', fileWith({ __metadata__: [] }, 0), 'ERR_INVALID_ARGUMENT', '__metadata__'],
    ['an entry that is null', fileWith({ a: null }, 0), 'ERR_INVALID_ARGUMENT', "'a'"],
    ['an entry that is a list', fileWith({ a: [] }, 0), 'ERR_INVALID_ARGUMENT', "'a'"],
    ['an unknown dtype', fileWith({ a: entry('F31', [1], 0, 4) }, 4), 'ERR_DTYPE', "'F31'"],
    ['a dtype of Object.prototype', fileWith({ a: entry('toString', [1], 0, 4) }, 4), 'ERR_DTYPE', "'toString'"],
    ['a dtype that is no text', fileWith({ a: entry(['F32'], [1], 0, 4) }, 4), 'ERR_DTYPE', "'F32'"],
    ['no shape', fileWith({ a: entry('F32', undefined, 0, 4) }, 4), 'ERR_INVALID_ARGUMENT', 'shape'],
    ['a negative dimension', fileWith({ a: entry('F32', [-1, -1], 0, 4) }, 4), 'ERR_INVALID_ARGUMENT', 'shape'],
    ['half a dimension', fileWith({ a: entry('F32', [0.5, 2], 0, 4) }, 4), 'ERR_INVALID_ARGUMENT', 'shape'],
    ['a dimension of 2^60', fileWith({ a: entry('U8', [2 ** 60], 0, 4) }, 4), 'ERR_INVALID_ARGUMENT', 'shape'],
    ['a product that is 0 modulo 2^64', fileWith({ a: entry('U8', [2 ** 32, 2 ** 32], 0, 0) }, 0), 'ERR_SHAPE', '2^53'],
    ['a product beyond numbers with a 0', fileWith({ a: entry('U8', [0, 2 ** 52, 2 ** 52], 0, 0) }, 0), 'ERR_SHAPE', '2^53'],
    ['an infinite product', fileWith({ a: entry('U8', Array(100).fill(2 ** 52), 0, 4) }, 4), 'ERR_SHAPE', '2^53'],
    ['too many bytes for the shape', fileWith({ a: entry('F32', [1], 0, 8) }, 8), 'ERR_SHAPE', '4 bytes'],
    ['too few bytes for the shape', fileWith({ a: entry('F64', [1], 0, 4) }, 4), 'ERR_SHAPE', '8 bytes'],
    ['an end before the beginning', fileWith({ a: entry('F32', [1], 4, 0) }, 4), 'ERR_INVALID_ARGUMENT', 'data_offsets'],
    ['a negative offset', fileWith({ a: entry('F32', [1], -4, 0) }, 4), 'ERR_INVALID_ARGUMENT', 'data_offsets'],
    ['half an offset', fileWith({ a: entry('F32', [1], 0.5, 4.5) }, 4), 'ERR_INVALID_ARGUMENT', 'data_offsets'],
    ['an offset as text', fileWith({ a: entry('F32', [1], '0', 4) }, 4), 'ERR_INVALID_ARGUMENT', 'data_offsets'],
    ['three offsets', fileWith({ a: entry('F32', [1], 0, 4, 8) }, 4), 'ERR_INVALID_ARGUMENT', 'data_offsets'],
    ['data beyond the end', fileWith({ a: entry('U8', [2 ** 50], 0, 2 ** 50) }, 4), 'ERR_INVALID_ARGUMENT', 'it is cut'],
    ['data that is no tensor’s', fileWith({ a: A }, 5), 'ERR_INVALID_ARGUMENT', '5 are there'],
    ['a hole', fileWith({ a: A, b: entry('F32', [1], 8, 12) }, 12), 'ERR_INVALID_ARGUMENT', 'bytes 4 to 7'],
    ['a hole at the beginning', fileWith({ a: entry('F32', [1], 4, 8) }, 8), 'ERR_INVALID_ARGUMENT', 'bytes 0 to 3'],
    ['an overlap', fileWith({ a: A, b: entry('F32', [1], 2, 6) }, 6), 'ERR_INVALID_ARGUMENT', 'overlap'],
    ['two names for the same bytes', fileWith({ a: A, b: A }, 4), 'ERR_INVALID_ARGUMENT', 'overlap'],
    ['an empty tensor inside of another', fileWith({ a: A, b: entry('F32', [0], 2, 2) }, 4), 'ERR_INVALID_ARGUMENT', 'overlap'],
  ];
  for (const [what, bytes, code, words] of malicious) {
    it(`are refused with ${what}, from memory and from a file`, async () => {
      await expectRejection(readSafetensors(bytes), code, words);
      const file = path('malicious.safetensors');
      writeFileSync(file, bytes);
      await expectRejection(readSafetensors(file), code, words);
    });
  }

  const foreign: [what: string, bytes: Buffer, words: string[]][] = [
    [
      'a zip of torch.save',
      Buffer.from('PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0', 'latin1'),
      ['torch.save', 'safetensors.torch.save_file(model.state_dict()'],
    ],
    [
      'a pickle',
      Buffer.from('\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19', 'latin1'),
      ['pickle', 'safetensors.torch.save_file(model.state_dict()'],
    ],
    ['an ONNX model', Buffer.from('\x08\x08\x12\x07pytorch\x1a\x05', 'latin1'), ['ONNX']],
    ['an HDF5 file', Buffer.from('\x89HDF\r\n\x1a\n\0\0\0\0', 'latin1'), ['HDF5']],
    ['a pointer of Git LFS', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), ['git lfs pull']],
  ];
  for (const [what, bytes, words] of foreign) {
    it(`are not taken for ${what}, and the way out is told`, () =>
      expectRejection(readSafetensors(bytes), 'ERR_INVALID_ARGUMENT', ...words));
  }

  it('are named by a path, a file: URL or bytes, and by nothing else', async () => {
    for (const wrong of [
      undefined,
      null,
      5,
      '',
      'a\0b',
      {},
      new URL('https://host/x'),
      new URL('file://host/x'),
      new ArrayBuffer(8),
      new Float32Array(2),
    ])
      await expectRejection(readSafetensors(wrong as never), 'ERR_INVALID_ARGUMENT', 'source');
    for (const wrong of [undefined, '', new URL('https://host/x'), new Uint8Array(8)])
      await expectRejection(writeSafetensors(wrong as never, {}), 'ERR_INVALID_ARGUMENT', 'target');
    await expectRejection(readSafetensors(path('.')), 'ERR_INVALID_ARGUMENT', 'ordinary file');
    execFileSync('mkfifo', [path('pipe')]);
    await expectRejection(readSafetensors(path('pipe')), 'ERR_INVALID_ARGUMENT', 'ordinary file');
    const missing = await readSafetensors(path('missing')).catch((error: NodeJS.ErrnoException) => error);
    expect(missing).to.include({ code: 'ENOENT' });
    await expectRejection(readSafetensors(new Uint8Array(8), { Prefix: '' } as never), 'ERR_INVALID_ARGUMENT', "Did you mean 'prefix'?");
    await expectRejection(readSafetensors(new Uint8Array(8), { prefix: 1 } as never), 'ERR_INVALID_ARGUMENT', 'options.prefix');
  });

  it('are written whole or not at all', async () => {
    mkdirSync(path('whole'));
    const file = path('whole/model.safetensors');
    await writeSafetensors(file, { a: float(1) });
    const before = readFileSync(file);
    await expectRejection(writeSafetensors(file, { a: float(2), b: { ...float(1), shape: [2] } }), 'ERR_SHAPE', "tensors['b']");
    expect(readFileSync(file)).to.deep.equal(before);
    const inNoFolder = await writeSafetensors(path('none/model.safetensors'), {}).catch((error: NodeJS.ErrnoException) => error);
    expect(inNoFolder).to.include({ code: 'ENOENT' });
    await expectRejection(writeSafetensors(path('whole'), {}), 'ERR_INVALID_ARGUMENT', 'target');
    await expectRejection(writeSafetensors('/dev/null', {}), 'ERR_INVALID_ARGUMENT', 'target');
    chmodSync(file, 0o600);
    symlinkSync(file, path('whole/link'));
    await writeSafetensors(pathToFileURL(path('whole/link')), { a: float(3) });
    expect((await readSafetensors(file)).tensors.get('a')).to.deep.equal(float(3));
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(readdirSync(path('whole')).sort()).to.deep.equal(['link', 'model.safetensors']);
    expect(new Uint8Array(readFileSync(join(file)))).to.deep.equal(encodeSafetensors({ a: float(3) }));
  });

  it('are for the same users as the file they replace, and as any new file where there is none', async () => {
    mkdirSync(path('modes'));
    const file = path('modes/model.safetensors');
    const modeAfterWriting = async () => {
      await writeSafetensors(file, { a: float(1) });
      return statSync(file).mode & 0o777;
    };
    const umask = process.umask(0o027);
    try {
      expect(await modeAfterWriting()).to.equal(0o640);
      for (const mode of [0o664, 0o600]) {
        chmodSync(file, mode);
        expect(await modeAfterWriting()).to.equal(mode);
      }
    } finally {
      process.umask(umask);
    }
  });

  it('take the place of a link that leads nowhere', async () => {
    mkdirSync(path('links'));
    symlinkSync('nowhere', path('links/link'));
    await writeSafetensors(path('links/link'), { a: float(1) });
    expect(readdirSync(path('links'))).to.deep.equal(['link']);
    expect((await readSafetensors(path('links/link'))).tensors.get('a')).to.deep.equal(float(1));
  });

  it('are not made of what is none of their tensors', () => {
    const refuse = (tensors: unknown, code: ErrorCode, ...words: string[]) =>
      expectError(() => encodeSafetensors(tensors as never), code, ...words);
    for (const wrong of [null, undefined, 1, [], 'a']) refuse(wrong, 'ERR_INVALID_ARGUMENT', 'tensors');
    refuse({ a: null }, 'ERR_INVALID_ARGUMENT', "tensors['a']");
    refuse({ __metadata__: float(1) }, 'ERR_INVALID_ARGUMENT', '__metadata__');
    refuse(new Map([['__proto__', float(1)]]), 'ERR_INVALID_ARGUMENT', '__proto__');
    refuse(new Map([[1, float(1)]]), 'ERR_INVALID_ARGUMENT', 'names');
    refuse({ a: { ...float(1), dtype: 'float32' } }, 'ERR_DTYPE', "'float32'");
    refuse({ a: { ...float(1), shape: [1, -1] } }, 'ERR_INVALID_ARGUMENT', 'shape');
    refuse({ a: { ...float(1), shape: [], data: new Float32Array(2) } }, 'ERR_SHAPE', 'length 4', 'length 8');
    refuse({ a: { ...float(1), data: [1] } }, 'ERR_INVALID_ARGUMENT', 'Float32Array');
    refuse({ a: { ...float(1), data: Int32Array.of(1) } }, 'ERR_INVALID_ARGUMENT', 'Float32Array');
    expectError(() => encodeSafetensors({}, { metadata: { a: 1 } } as never), 'ERR_INVALID_ARGUMENT', 'options.metadata');
    expectError(() => encodeSafetensors({}, { meta: {} } as never), 'ERR_INVALID_ARGUMENT', "'meta'");
    const part = { dtype: 'F32', shape: [1], byteLength: 4 } as const;
    const twice = [['a', part] as const, ['a', part] as const];
    expectError(() => encodeHeader(twice, {}), 'ERR_INVALID_ARGUMENT', 'each name once');
  });
});

describe('half floats in files', () => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);

  for (const dtype of ['float16', 'bfloat16'] as const) {
    it(`${dtype}: every pattern survives, but for the bits of NaN`, () => {
      const values = halfValues(all, dtype);
      const back = halfBits(values, dtype);
      const wrong = all.filter((bits) => back[bits] !== bits && !Number.isNaN(values[bits]));
      expect([...wrong]).to.deep.equal([]);
      expect(values.filter(Number.isNaN).length).to.equal(2 * (dtype === 'float16' ? 1023 : 127));
      expect([...halfValues(back, dtype)].filter(Number.isNaN).length).to.equal(values.filter(Number.isNaN).length);
    });
  }

  it('are the nearest ones, as the reference rounds', () => {
    const pattern = fc.tuple(
      fc.constantFrom(...(['float16', 'bfloat16'] as const)),
      fc.nat(0x7f7f),
      fc.constantFrom(0, 0.25, 0.5, 0.5 + 1e-9, 0.75, 1),
    );
    const property = fc.property(pattern, fc.boolean(), ([dtype, bits, share], negative) => {
      const [low, high] = halfValues(Uint16Array.of(bits, bits + 1), dtype) as unknown as [number, number];
      fc.pre(Number.isFinite(low) && Number.isFinite(high));
      const value = (negative ? -1 : 1) * (low + share * (high - low));
      expect(halfValues(halfBits([value], dtype), dtype)[0]).to.equal(round(value, dtype));
    });
    fc.assert(property, { numRuns: 2000 });
  });

  it('are rounded once, ties to even', () => {
    const [one, ulp] = [0x3c00, 2 ** -10];
    expect([
      ...halfBits([1 + ulp / 2, 1 + 1.5 * ulp, 1 + ulp / 2 + 1e-12, 65519, 65520, -0, 2 ** -25, 3 * 2 ** -25], 'float16'),
    ]).to.deep.equal([one, one + 2, one + 1, 0x7bff, 0x7c00, 0x8000, 0, 2]);
    expect([...halfBits([1 + 2 ** -8, 1 + 2 ** -8 + 1e-12, -1e39], 'bfloat16')]).to.deep.equal([0x3f80, 0x3f81, 0xff80]);
  });
});
