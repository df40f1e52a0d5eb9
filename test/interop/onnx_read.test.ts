import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import type { ErrorCode } from '../../lib/index';
import { readBatchNorms } from '../../lib/interop/onnx';
import { DATA_TYPE } from '../../lib/interop/onnx/schema';
import { device } from '../helpers/device';
import { expectError, expectRejection } from '../helpers/failure';
import {
  batchNormNode,
  FOUR,
  float,
  fourWith,
  type GraphInit,
  INPUTS,
  initializer,
  integer,
  type ModelInit,
  modelBytes,
  type TensorInit,
} from './onnx_models';

async function readOne(graph: GraphInit, model?: ModelInit) {
  const [found, ...others] = await readBatchNorms(modelBytes(graph, model));
  expect(others).to.deep.equal([]);
  return found!;
}

async function stateWith(tensor: TensorInit) {
  const { state, options } = await readOne({ initializer: fourWith(tensor) });
  return { dtype: options.dtype, values: [...state.weight.data] };
}

describe('reading batch norms of an ONNX model', () => {
  it('gives names, options in our terms, and the state', async () => {
    const found = await readOne({ node: [batchNormNode({ attribute: [float('epsilon', 0.25), float('momentum', 0.75)] })] });
    expect(found).to.deep.include({ name: 'norm', input: 'x', output: 'y', numFeatures: 2, training: false });
    expect(found.options).to.deep.equal({ eps: 0.25, momentum: 0.25, axis: 1, runningVariance: 'biased', dtype: 'float32' });
    expect(found.state).to.deep.equal({
      weight: { dtype: 'float32', shape: [2], data: Float32Array.of(1.5, -2) },
      bias: { dtype: 'float32', shape: [2], data: Float32Array.of(0.25, 3) },
      running_mean: { dtype: 'float32', shape: [2], data: Float32Array.of(10, -1) },
      running_var: { dtype: 'float32', shape: [2], data: Float32Array.of(4, 0.5) },
    });
  });

  it('has the defaults of ONNX', async () => {
    const { options } = await readOne({});
    expect(options).to.include({ eps: Math.fround(1e-5), momentum: 1 - Math.fround(0.9) });
  });

  it('makes a layer, in eval mode, with that state', async () => {
    const found = await readOne({});
    using layer = found.toBatchNorm({ device });
    expect(layer).to.include({ numFeatures: 2, training: false, eps: Math.fround(1e-5), axis: 1, runningVariance: 'biased', device });
    const { num_batches_tracked, ...state } = await layer.stateDict();
    expect(state).to.deep.equal(found.state);
    expectError(() => found.toBatchNorm({ devise: device } as object), 'ERR_INVALID_ARGUMENT', "Did you mean 'device'");
  });

  const stored: [title: string, tensor: Partial<TensorInit>, dtype: string, values: number[]][] = [
    ['raw float32 at an odd address', initializer('s', [0.1, -1e30]), 'float32', [Math.fround(0.1), Math.fround(-1e30)]],
    ['float data', { dataType: DATA_TYPE.float32, floatData: [1, 2] }, 'float32', [1, 2]],
    ['raw float64', { dataType: DATA_TYPE.float64, rawData: new Uint8Array(Float64Array.of(0.1, 1e300).buffer) }, 'float64', [0.1, 1e300]],
    ['double data', { dataType: DATA_TYPE.float64, doubleData: [0.1, 3] }, 'float64', [0.1, 3]],
    ['raw float16', { dataType: DATA_TYPE.float16, rawData: Uint8Array.of(0, 0x3c, 0xff, 0x7b) }, 'float32', [1, 65504]],
    ['float16 in int32 data', { dataType: DATA_TYPE.float16, int32Data: [0xc000, 1] }, 'float32', [-2, 2 ** -24]],
    ['raw bfloat16', { dataType: DATA_TYPE.bfloat16, rawData: Uint8Array.of(0x80, 0x3f, 0x80, 0xff) }, 'float32', [1, -Infinity]],
    ['bfloat16 in int32 data', { dataType: DATA_TYPE.bfloat16, int32Data: [0x4040, 0x8000] }, 'float32', [3, -0]],
  ];
  for (const [title, tensor, dtype, wanted] of stored) {
    it(`takes ${title}`, async () => {
      expect(await stateWith({ name: 's', dims: [2n], ...tensor })).to.deep.equal({ dtype, values: wanted });
    });
  }

  it('gives values of its own', async () => {
    const bytes = modelBytes();
    const [found] = await readBatchNorms(bytes);
    bytes.fill(0);
    expect([...found!.state.weight.data]).to.deep.equal([1.5, -2]);
  });

  it('reads a parameter once for all nodes that name it, in float32 and in float64', async () => {
    const floats = { name: 'value_floats', type: 6, floats: [3, 4] };
    const double = { name: 'd', dims: [2n], dataType: DATA_TYPE.float64, doubleData: [5, 6] };
    const node = (name: string, ...input: string[]) => batchNormNode({ name, output: [name], input: ['x', ...input] });
    const found = await readBatchNorms(
      modelBytes({
        node: [
          { opType: 'Constant', output: ['c'], attribute: [floats] },
          { opType: 'Identity', input: ['m'], output: ['i'] },
          node('first', 's', 'c', 'm', 'v'),
          node('second', 's', 'c', 'i', 'v'),
          node('third', 's', 'd', 'm', 'v'),
        ],
        initializer: [...FOUR, double],
      }),
    );
    const [first, second, third] = found.map(({ state }) => Object.values(state).map(({ data }) => data));
    for (const [i, data] of second!.entries()) expect(data).to.equal(first![i]);
    expect(first![1]).to.deep.equal(Float32Array.of(3, 4));
    expect(third).to.deep.equal(
      [
        [1.5, -2],
        [5, 6],
        [10, -1],
        [4, 0.5],
      ].map((values) => Float64Array.from(values)),
    );
  });

  it('walks a long chain of Identity nodes once', async function () {
    this.timeout(5000); // walked anew for every node it takes longer
    const chain = Array.from({ length: 8000 }, (_, i) => ({ opType: 'Identity', input: [i === 0 ? 's' : `i${i - 1}`], output: [`i${i}`] }));
    const ends = Array.from({ length: 3000 }, (_, i) => batchNormNode({ name: `n${i}`, input: ['x', 'i7999', 'i7998', 'i7999', 'v'] }));
    const found = await readBatchNorms(modelBytes({ node: [...chain, ...ends] }));
    expect(found.length).to.equal(3000);
    expect([...found.at(-1)!.state.bias.data]).to.deep.equal([1.5, -2]);
  });

  it('finds all of them, with names for those that have none, and parameters from around a body', async () => {
    const body = { name: 'body', node: [batchNormNode({ name: 'inner', output: ['z'] })], output: [{ name: 'z' }] };
    const found = await readBatchNorms(
      modelBytes({
        node: [
          batchNormNode({ name: '', output: ['first'] }),
          batchNormNode({ domain: 'com.other', name: 'of another domain' }),
          {
            opType: 'If',
            input: ['x'],
            output: ['y'],
            attribute: [
              { name: 'then_branch', type: 5, g: body },
              { name: 'rest', type: 10, graphs: [body] },
            ],
          },
          batchNormNode({ domain: 'ai.onnx', name: 'last' }),
        ],
      }),
    );
    expect(found.map(({ name }) => name)).to.deep.equal(['first', 'last', 'inner', 'inner']);
    expect([...found[2]!.state.bias.data]).to.deep.equal([0.25, 3]);
  });

  it('gives none for a model without one', async () => {
    expect(await readBatchNorms(modelBytes({ node: [{ opType: 'Relu', input: ['x'], output: ['y'] }] }))).to.deep.equal([]);
  });

  for (const [title, more, model] of [
    ['training_mode', { attribute: [integer('training_mode', 1)], output: ['y', 'm2', 'v2'] }, {}],
    ['its outputs, before version 14', { output: ['y', 'm2', 'v2', 'sm', 'sv'] }, { opsetImport: [{ version: 9n }] }],
  ] as const) {
    it(`tells a node in training by ${title}`, async () => {
      const found = await readOne({ node: [batchNormNode(more as object)] }, model as object);
      using layer = found.toBatchNorm({ device });
      expect([found.training, layer.training]).to.deep.equal([true, true]);
    });
  }

  const refused: [title: string, code: ErrorCode, words: string[], graph: GraphInit, model?: ModelInit][] = [
    [
      'a scale of int64',
      'ERR_DTYPE',
      ["'s' (scale) of node 'norm'", 'type 7'],
      { initializer: fourWith({ name: 's', dims: [2n], dataType: 7, rawData: new Uint8Array(16) }) },
    ],
    ['no data type', 'ERR_DTYPE', ["'s' (scale)"], { initializer: fourWith({ name: 's', dims: [2n] }) }],
    ['two dimensions', 'ERR_SHAPE', ["'v' (input_var)", '[2, 1]'], { initializer: fourWith({ ...FOUR[3], dims: [2n, 1n] }) }],
    ['no dimension', 'ERR_SHAPE', ["'v' (input_var)", '[]'], { initializer: fourWith({ ...FOUR[3], dims: [] }) }],
    ['a negative dimension', 'ERR_SHAPE', ["'v' (input_var)", '[-2]'], { initializer: fourWith({ ...FOUR[3], dims: [-2n] }) }],
    ['no channels', 'ERR_SHAPE', ["'s' (scale)", '[0]'], { initializer: fourWith({ ...FOUR[0], dims: [0n] }) }],
    [
      'a dimension that is too large to be true',
      'ERR_SHAPE',
      ["'s' (scale)"],
      { initializer: FOUR.map((tensor) => ({ ...tensor, dims: [2n ** 40n] })) },
    ],
    [
      'a dimension beyond exact numbers',
      'ERR_SHAPE',
      ["'s' (scale)"],
      { initializer: FOUR.map((tensor) => ({ ...tensor, dims: [2n ** 62n] })) },
    ],
    ['other lengths', 'ERR_SHAPE', ['length 2', "'b' (B)", 'length 3'], { initializer: fourWith(initializer('b', [1, 2, 3])) }],
    [
      'raw data that is too short',
      'ERR_SHAPE',
      ['8 bytes', "'b' (B)"],
      { initializer: fourWith({ ...FOUR[1], rawData: new Uint8Array(7) }) },
    ],
    [
      'float data that is too short',
      'ERR_SHAPE',
      ['2 elements', "'b' (B)"],
      { initializer: fourWith({ name: 'b', dims: [2n], dataType: 1, floatData: [1] }) },
    ],
    ['no data', 'ERR_SHAPE', ['2 elements', "'b' (B)"], { initializer: fourWith({ name: 'b', dims: [2n], dataType: 1 }) }],
    [
      'a parameter that is an input',
      'ERR_INVALID_ARGUMENT',
      ["'v' (input_var) of node 'norm'", 'an input of the graph'],
      { initializer: FOUR.slice(0, 3) },
    ],
    [
      'a parameter that is computed',
      'ERR_INVALID_ARGUMENT',
      ["'v' (input_var)", "'Exp' node 'e'"],
      { initializer: FOUR.slice(0, 3), node: [{ opType: 'Exp', name: 'e', input: ['m'], output: ['v'] }, batchNormNode()] },
    ],
    [
      'Identity nodes in a circle',
      'ERR_INVALID_ARGUMENT',
      ["'v' (input_var)", "'Identity' node"],
      {
        initializer: FOUR.slice(0, 3),
        node: [{ opType: 'Identity', input: ['w'], output: ['v'] }, { opType: 'Identity', input: ['v'], output: ['w'] }, batchNormNode()],
      },
    ],
    ['too few inputs', 'ERR_INVALID_ARGUMENT', ['5 inputs', "node 'norm'"], { node: [batchNormNode({ input: INPUTS.slice(0, 4) })] }],
    ['an input that is left out', 'ERR_INVALID_ARGUMENT', ['5 inputs'], { node: [batchNormNode({ input: ['x', '', 'b', 'm', 'v'] })] }],
    ['no output', 'ERR_INVALID_ARGUMENT', ['an output'], { node: [batchNormNode({ output: [] })] }],
    [
      'spatial 0',
      'ERR_INVALID_ARGUMENT',
      ['spatial 1', "'norm'"],
      { node: [batchNormNode({ attribute: [integer('spatial', 0)] })] },
      { opsetImport: [{ version: 8n }] },
    ],
    [
      'old operators',
      'ERR_INVALID_ARGUMENT',
      ['version 7 or later', 'version 6', 'onnx.version_converter'],
      {},
      { opsetImport: [{ version: 6n }] },
    ],
    [
      'no version of the operators',
      'ERR_INVALID_ARGUMENT',
      ['version 7 or later', 'none'],
      {},
      { opsetImport: [{ domain: 'com.other', version: 20n }] },
    ],
    [
      'a negative epsilon',
      'ERR_INVALID_ARGUMENT',
      ["epsilon of node 'norm'"],
      { node: [batchNormNode({ attribute: [float('epsilon', -1)] })] },
    ],
    [
      'an epsilon that is no number',
      'ERR_INVALID_ARGUMENT',
      ["epsilon of node 'norm'"],
      { node: [batchNormNode({ attribute: [float('epsilon', Number.NaN)] })] },
    ],
    [
      'an infinite momentum',
      'ERR_INVALID_ARGUMENT',
      ["momentum of node 'norm'"],
      { node: [batchNormNode({ attribute: [float('momentum', Infinity)] })] },
    ],
    [
      'an epsilon that is an int',
      'ERR_INVALID_ARGUMENT',
      ["epsilon of node 'norm'", 'type 2'],
      { node: [batchNormNode({ attribute: [integer('epsilon', 1)] })] },
    ],
    [
      'a training_mode that is a float',
      'ERR_INVALID_ARGUMENT',
      ["training_mode of node 'norm'"],
      { node: [batchNormNode({ attribute: [float('training_mode', 0)] })] },
    ],
  ];
  for (const [title, code, words, graph, model] of refused) {
    it(`refuses ${title}`, () => expectRejection(readBatchNorms(modelBytes(graph, model)), code, ...words));
  }

  it('refuses what is no model', async () => {
    const bytes = modelBytes();
    for (const source of [
      new Uint8Array(),
      bytes.subarray(0, bytes.length - 3),
      Uint8Array.of(1, 2, 3),
      new TextEncoder().encode('{"model": 1}'),
    ]) {
      await expectRejection(readBatchNorms(source), 'ERR_INVALID_ARGUMENT', 'Expected an ONNX model');
    }
    for (const source of [undefined, null, 3, '', 'a\0b', {}, [1], new Float32Array(4), new URL('https://example.com/model.onnx')]) {
      await expectRejection(readBatchNorms(source as string), 'ERR_INVALID_ARGUMENT', 'source');
    }
  });

  it('refuses bodies inside of bodies without end', async () => {
    let graph: GraphInit = { name: 'innermost' };
    for (let depth = 0; depth < 200; depth++) graph = { node: [{ opType: 'If', attribute: [{ name: 'then_branch', type: 5, g: graph }] }] };
    await expectRejection(readBatchNorms(modelBytes(graph)), 'ERR_INVALID_ARGUMENT', 'recursion');
  });
});

describe('reading an ONNX model from a file', () => {
  let folder = '';
  let model = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cuda-batchnorm-'));
    model = join(folder, 'models', 'model.onnx');
    await mkdir(join(folder, 'models', 'inner'), { recursive: true });
    await writeFile(join(folder, 'secret.bin'), new Uint8Array(64));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const external = (entries: Record<string, string>): TensorInit => ({
    ...FOUR[0],
    rawData: new Uint8Array(),
    dataLocation: 1,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
  const write = (entries: Record<string, string>) => writeFile(model, modelBytes({ initializer: fourWith(external(entries)) }));

  it('takes a path and a file URL', async () => {
    await writeFile(model, modelBytes());
    for (const source of [model, pathToFileURL(model)])
      expect((await readBatchNorms(source)).map(({ name }) => name)).to.deep.equal(['norm']);
  });

  it("keeps the file system's error", async () => {
    const error = await readBatchNorms(join(folder, 'none.onnx')).catch((error: unknown) => error);
    expect(error).to.have.property('code', 'ENOENT');
  });

  it('reads external data beside the model and in folders there, at its offset', async () => {
    await writeFile(join(folder, 'models', 'inner', 'data.bin'), new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
    await symlink(join('inner', 'data.bin'), join(folder, 'models', 'link.bin'));
    for (const [location, offset, wanted] of [
      ['inner/data.bin', '4', [2, 3]],
      ['./inner/data.bin', '8', [3, 4]],
      ['link.bin', '0', [1, 2]],
    ] as const) {
      await write({ location, offset, length: '8' });
      expect([...(await readBatchNorms(model))[0]!.state.weight.data]).to.deep.equal(wanted);
    }
    await write({ location: 'link.bin' });
    expect([...(await readBatchNorms(model))[0]!.state.weight.data]).to.deep.equal([1, 2]);
  });

  it('reads external data once for all nodes that name it', async () => {
    await writeFile(join(folder, 'models', 'data.bin'), new Uint8Array(8));
    const nodes = ['first', 'second'].map((name) => batchNormNode({ name, output: [name] }));
    await writeFile(model, modelBytes({ node: nodes, initializer: fourWith(external({ location: 'data.bin' })) }));
    const [first, second] = await readBatchNorms(model);
    expect(first!.state.weight.data).to.equal(second!.state.weight.data);
  });

  it('reads nothing outside of its folder', async () => {
    await symlink('../secret.bin', join(folder, 'models', 'link.bin'));
    await symlink('..', join(folder, 'models', 'up'));
    const locations = [
      '../secret.bin',
      'inner/../../secret.bin',
      '..\\secret.bin',
      join(folder, 'secret.bin'),
      'C:\\secret.bin',
      'C:secret.bin',
      '\\\\host\\secret.bin',
      '',
      'a\0b',
    ];
    for (const location of locations) {
      await write({ location });
      await expectRejection(readBatchNorms(model), 'ERR_INVALID_ARGUMENT', "'s' (scale)", "a relative path without '..'");
    }
    for (const location of ['link.bin', 'up/secret.bin']) {
      await write({ location });
      await expectRejection(readBatchNorms(model), 'ERR_INVALID_ARGUMENT', "'s' (scale)", 'leads out of it');
    }
    await write({ offset: '0' });
    await expectRejection(readBatchNorms(model), 'ERR_INVALID_ARGUMENT', "'s' (scale)", 'none');
  });

  it('refuses external data that is not there', async () => {
    await writeFile(join(folder, 'models', 'data.bin'), new Uint8Array(10));
    const wrong: [entries: Record<string, string>, code: ErrorCode, words: string][] = [
      [{ location: 'none.bin' }, 'ERR_INVALID_ARGUMENT', 'ENOENT'],
      [{ location: 'inner' }, 'ERR_INVALID_ARGUMENT', 'regular file'],
      [{ location: 'data.bin', offset: '4' }, 'ERR_SHAPE', 'which has 10'],
      [{ location: 'data.bin', offset: '9007199254740991' }, 'ERR_SHAPE', 'which has 10'],
      [{ location: 'data.bin', offset: '9007199254740993' }, 'ERR_INVALID_ARGUMENT', 'offset'],
      [{ location: 'data.bin', offset: '-1' }, 'ERR_INVALID_ARGUMENT', 'offset'],
      [{ location: 'data.bin', offset: '1e1' }, 'ERR_INVALID_ARGUMENT', 'offset'],
      [{ location: 'data.bin', length: 'x' }, 'ERR_INVALID_ARGUMENT', 'length'],
      [{ location: 'data.bin', length: '4' }, 'ERR_SHAPE', 'a length of 4'],
    ];
    for (const [entries, code, words] of wrong) {
      await write(entries);
      await expectRejection(readBatchNorms(model), code, "'s' (scale)", words);
    }
  });

  it('takes no memory for external data that claims to be large', async () => {
    const claim = { ...external({ location: 'data.bin' }), dims: [2n ** 40n] };
    await writeFile(join(folder, 'models', 'data.bin'), new Uint8Array(8));
    await writeFile(model, modelBytes({ initializer: INPUTS.slice(1).map((name) => ({ ...claim, name })) }));
    await expectRejection(readBatchNorms(model), 'ERR_SHAPE', 'which has 8');
    await truncate(join(folder, 'models', 'data.bin'), 2 ** 42); // without a byte of it on the disk
    await expectRejection(readBatchNorms(model), 'ERR_OUT_OF_MEMORY', `${2 ** 42} bytes`);
  });

  it('refuses external data of a model given as bytes', async () => {
    const bytes = modelBytes({ initializer: fourWith(external({ location: 'data.bin' })) });
    await expectRejection(readBatchNorms(bytes), 'ERR_INVALID_ARGUMENT', 'a model given by its path', "'data.bin'");
  });
});
