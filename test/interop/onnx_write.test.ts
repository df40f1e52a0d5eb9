import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect } from 'chai';
import { BatchNorm, type BatchNormOptions, type ErrorCode, RecurrentBatchNorm } from '../../lib/index';
import { encodeOnnx, type OnnxStateOptions, readBatchNorms, updateBatchNorms, writeOnnx } from '../../lib/interop/onnx';
import { DATA_TYPE, type ModelProto, ModelSchema } from '../../lib/interop/onnx/schema';
import { device } from '../helpers/device';
import { expectRejection } from '../helpers/failure';
import { entry } from './layers';
import { batchNormNode, FOUR, float, fourWith, initializer, INPUTS, modelBytes } from './onnx_models';

const parse = (bytes: Uint8Array): ModelProto => fromBinary(ModelSchema, bytes);
const STATE = { running_mean: entry([1, 2]), running_var: entry([3, 4]) };
const layerOf = (options: BatchNormOptions) => new BatchNorm(2, { device, ...options });

describe('writing a batch norm as an ONNX model', () => {
  it('makes one node between input and output, with momentum in ONNX terms', async () => {
    const { graph, irVersion, opsetImport } = parse(
      await encodeOnnx(STATE, { shape: [null, 2, 5], eps: 0.25, momentum: 0.25, name: 'bn' }),
    );
    expect([irVersion, opsetImport.map(({ version }) => version)]).to.deep.equal([8n, [15n]]);
    const [node, ...others] = graph!.node;
    expect(others).to.deep.equal([]);
    expect(node).to.include({ opType: 'BatchNormalization', name: 'bn' });
    expect(node!.input).to.deep.equal(['input', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var']);
    expect(node!.output).to.deep.equal(['output']);
    expect(node!.attribute.map(({ name, f }) => [name, f])).to.deep.equal([
      ['epsilon', 0.25],
      ['momentum', 0.75],
    ]);
    for (const value of [graph!.input[0]!, graph!.output[0]!]) {
      const { elemType, shape } = value.type!.tensorType!;
      expect(elemType).to.equal(DATA_TYPE.float32);
      expect(shape!.dim.map(({ dimValue, dimParam }) => dimParam || dimValue)).to.deep.equal(['size_0', 2n, 5n]);
    }
  });

  it('fills in ones and zeros for a weight and a bias that are not there', async () => {
    const { state } = (await readBatchNorms(await encodeOnnx(STATE, { rank: 2 })))[0]!;
    expect([state.weight.data, state.bias.data]).to.deep.equal([Float32Array.of(1, 1), Float32Array.of(0, 0)]);
  });

  it('puts Transpose nodes around the node where the axis is not 1', async () => {
    const operations = async (options: OnnxStateOptions) => parse(await encodeOnnx(STATE, options)).graph!.node.map(({ opType }) => opType);
    expect(await operations({ rank: 4, axis: -1 })).to.deep.equal(['Transpose', 'BatchNormalization', 'Transpose']);
    expect(await operations({ rank: 2, axis: -1 })).to.deep.equal(['BatchNormalization']);
    expect(await operations({ rank: 3, axis: 0, activation: 'silu' })).to.deep.equal([
      'Transpose',
      'BatchNormalization',
      'Sigmoid',
      'Mul',
      'Transpose',
    ]);
  });

  const refused: [title: string, code: ErrorCode, words: string, make: () => Promise<unknown>][] = [
    [
      'a layer without running statistics',
      'ERR_INVALID_ARGUMENT',
      'running statistics',
      () => encodeOnnx(layerOf({ trackRunningStats: false }), { rank: 2 }),
    ],
    ['momentum null', 'ERR_INVALID_ARGUMENT', 'cumulative average', () => encodeOnnx(layerOf({ momentum: null }), { rank: 2 })],
    [
      'momentum null with a state',
      'ERR_INVALID_ARGUMENT',
      'cumulative average',
      () => encodeOnnx(STATE, { rank: 2, momentum: null as never }),
    ],
    [
      'gelu in doubles',
      'ERR_INVALID_ARGUMENT',
      'ONNX Runtime',
      () => encodeOnnx(layerOf({ dtype: 'float64', activation: 'gelu' }), { rank: 2 }),
    ],
    ['eps beside a layer', 'ERR_INVALID_ARGUMENT', "'eps'", () => encodeOnnx(layerOf({}), { rank: 2, eps: 1 } as object)],
    ['no options', 'ERR_INVALID_ARGUMENT', 'shape or rank', () => encodeOnnx(STATE, undefined as never)],
    ['neither shape nor rank', 'ERR_INVALID_ARGUMENT', 'either shape or rank', () => encodeOnnx(STATE, {})],
    ['both shape and rank', 'ERR_INVALID_ARGUMENT', 'either shape or rank', () => encodeOnnx(STATE, { shape: [1, 2], rank: 2 })],
    ['rank 1', 'ERR_INVALID_ARGUMENT', 'options.rank', () => encodeOnnx(STATE, { rank: 1 })],
    ['a shape of rank 1', 'ERR_SHAPE', 'options.shape', () => encodeOnnx(STATE, { shape: [2] })],
    ['a shape that is none', 'ERR_INVALID_ARGUMENT', 'options.shape', () => encodeOnnx(STATE, { shape: '2,2' as never })],
    ['a size that is none', 'ERR_INVALID_ARGUMENT', 'options.shape[2]', () => encodeOnnx(STATE, { shape: [1, 2, 1.5] })],
    ['other channels in the shape', 'ERR_SHAPE', '2 channels at axis 1', () => encodeOnnx(STATE, { shape: [2, 3] })],
    ['an axis outside the rank', 'ERR_SHAPE', 'the axis', () => encodeOnnx(layerOf({ axis: -3 }), { rank: 2 })],
    ['an axis that is no integer', 'ERR_INVALID_ARGUMENT', 'options.axis', () => encodeOnnx(STATE, { rank: 2, axis: 0.5 })],
    [
      'an unknown activation',
      'ERR_INVALID_ARGUMENT',
      'options.activation',
      () => encodeOnnx(STATE, { rank: 2, activation: 'swish' as never }),
    ],
    ['a negative eps', 'ERR_INVALID_ARGUMENT', 'options.eps', () => encodeOnnx(STATE, { rank: 2, eps: -1 })],
    [
      'a momentum that is no number',
      'ERR_INVALID_ARGUMENT',
      'options.momentum',
      () => encodeOnnx(STATE, { rank: 2, momentum: Number.NaN }),
    ],
    ['an eps beyond float32', 'ERR_INVALID_ARGUMENT', 'float32', () => encodeOnnx(STATE, { rank: 2, eps: 1e39 })],
    ['an eps that is 0 in float32', 'ERR_INVALID_ARGUMENT', 'float32', () => encodeOnnx(STATE, { rank: 2, eps: 1e-60 })],
    ['a momentum beyond float32', 'ERR_INVALID_ARGUMENT', 'float32', () => encodeOnnx(layerOf({ momentum: -1e300 }), { rank: 2 })],
    ['a rank without bound', 'ERR_INVALID_ARGUMENT', '2 to 64', () => encodeOnnx(STATE, { rank: 2 ** 40 })],
    ['a name that is no Unicode text', 'ERR_INVALID_ARGUMENT', 'options.name', () => encodeOnnx(STATE, { rank: 2, name: '\ud800' })],
    ['an empty name', 'ERR_INVALID_ARGUMENT', 'options.name', () => encodeOnnx(STATE, { rank: 2, name: '' })],
    ['operators too old', 'ERR_INVALID_ARGUMENT', 'options.opset', () => encodeOnnx(STATE, { rank: 2, opset: 8 })],
    ['operators too new', 'ERR_INVALID_ARGUMENT', 'options.opset', () => encodeOnnx(STATE, { rank: 2, opset: 99 })],
    ['an unknown option', 'ERR_INVALID_ARGUMENT', "Did you mean 'opset'", () => encodeOnnx(STATE, { rank: 2, opsets: 15 } as object)],
    ['no layer', 'ERR_INVALID_ARGUMENT', 'a BatchNorm or a state', () => encodeOnnx(null as never, { rank: 2 })],
    ['a state without statistics', 'ERR_INVALID_ARGUMENT', 'running_mean', () => encodeOnnx({ weight: entry([1]) }, { rank: 2 })],
    [
      'a state without the variance',
      'ERR_INVALID_ARGUMENT',
      "missing: 'running_var'",
      () => encodeOnnx({ running_mean: entry([1]) }, { rank: 2 }),
    ],
    ['a state with more', 'ERR_INVALID_ARGUMENT', "unexpected: 'gamma'", () => encodeOnnx({ ...STATE, gamma: entry([1, 2]) }, { rank: 2 })],
    [
      'numbers beyond float32',
      'ERR_DTYPE',
      'range of float32 for batch_norm.weight',
      () => encodeOnnx({ ...STATE, weight: entry([1, 1e39]) }, { rank: 2 }),
    ],
    [
      'doubles beyond float32',
      'ERR_DTYPE',
      'range of float32 for batch_norm.bias',
      () => encodeOnnx({ ...STATE, bias: entry(Float64Array.of(1, -1e39)) }, { rank: 2 }),
    ],
    ['other lengths in a state', 'ERR_SHAPE', 'state.weight', () => encodeOnnx({ ...STATE, weight: entry([1]) }, { rank: 2 })],
    [
      'a state without dimensions',
      'ERR_SHAPE',
      'running_mean',
      () => encodeOnnx({ ...STATE, running_mean: { ...entry([1]), shape: [] } }, { rank: 2 }),
    ],
    ['a target that is none', 'ERR_INVALID_ARGUMENT', 'target', () => writeOnnx(3 as never, STATE, { rank: 2 })],
    ['a target elsewhere', 'ERR_INVALID_ARGUMENT', 'target', () => writeOnnx(new URL('http://host/a.onnx'), STATE, { rank: 2 })],
  ];
  for (const [title, code, words, make] of refused) {
    it(`refuses ${title}`, () => expectRejection(make(), code, words));
  }

  it('refuses a layer that was disposed', async () => {
    const layer = layerOf({});
    layer.dispose();
    await expectRejection(encodeOnnx(layer, { rank: 2 }), 'ERR_DISPOSED');
  });
});

describe('writing an ONNX model to a file', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cuda-batchnorm-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('writes what encodeOnnx gives, over what was there, and leaves nothing else', async () => {
    const file = join(folder, 'model.onnx');
    for (const target of [file, pathToFileURL(file)]) {
      await writeFile(file, 'old');
      await writeOnnx(target, STATE, { rank: 3 });
      expect(new Uint8Array(await readFile(file))).to.deep.equal(await encodeOnnx(STATE, { rank: 3 }));
    }
    expect(await readdir(folder)).to.deep.equal(['model.onnx']);
  });

  it('leaves the file as it was where it cannot be written, and says why', async () => {
    const file = join(folder, 'model.onnx');
    await writeFile(file, 'old');
    await expectRejection(writeOnnx(file, STATE, { rank: 2, eps: -1 }), 'ERR_INVALID_ARGUMENT', 'options.eps');
    expect(await readFile(file, 'utf8')).to.equal('old');
    const error = await writeOnnx(join(folder, 'none', 'model.onnx'), STATE, { rank: 2 }).catch((error: unknown) => error);
    expect(error).to.have.property('code', 'ENOENT');
    expect(await readdir(folder)).to.deep.equal(['model.onnx']);
  });
});

describe('putting parameters into an ONNX model', () => {
  const update = { weight: entry([7, 8]), bias: entry([9, 10]), running_mean: entry([11, 12]), running_var: entry([13, 14]) };
  const numbers = async (bytes: Uint8Array) =>
    (await readBatchNorms(bytes)).map(({ state }) => Object.values(state).map(({ data }) => [...data]));
  const OLD = [
    [1.5, -2],
    [0.25, 3],
    [10, -1],
    [4, 0.5],
  ];
  const NEW = [
    [7, 8],
    [9, 10],
    [11, 12],
    [13, 14],
  ];

  it('keeps all else, what is unknown too', async () => {
    const before = parse(modelBytes({ node: [batchNormNode({ attribute: [float('epsilon', 0.5)] })] }));
    const text = (field: number, words: string) => ({
      no: field,
      wireType: WireType.LengthDelimited,
      data: new BinaryWriter().string(words).finish(),
    });
    before.$unknown = [text(6, 'of the model'), text(2000, 'of the future')];
    before.graph!.$unknown = [text(10, 'of the graph')];
    before.graph!.node[0]!.$unknown = [text(6, 'of the node')];
    before.graph!.initializer[0]!.$unknown = [text(12, 'of the tensor')];
    const after = parse(await updateBatchNorms(toBinary(ModelSchema, before), new Map([['norm', update]])));
    expect(new BinaryReader(after.$unknown![1]!.data).string()).to.equal('of the future');
    for (const [i, values] of NEW.entries()) {
      const tensor = before.graph!.initializer[i]!;
      tensor.rawData = new Uint8Array(Float32Array.from(values).buffer);
    }
    expect(toBinary(ModelSchema, after)).to.deep.equal(toBinary(ModelSchema, before));
  });

  it('takes updates in an object as in a Map', async () => {
    expect(await updateBatchNorms(modelBytes(), { norm: update })).to.deep.equal(
      await updateBatchNorms(modelBytes(), new Map([['norm', update]])),
    );
  });

  it('takes eps and momentum of a layer, and neither of a state', async () => {
    using layer = layerOf({ eps: 0.25, momentum: 0.5 });
    const bytes = modelBytes({ node: [batchNormNode({ attribute: [float('epsilon', 0.5)] })] });
    const optionsAfter = async (one: BatchNorm | typeof update) =>
      (await readBatchNorms(await updateBatchNorms(bytes, new Map([['norm', one]]))))[0]!.options;
    expect(await optionsAfter(layer)).to.include({ eps: 0.25, momentum: 0.5 });
    expect(await optionsAfter(update)).to.include({ eps: 0.5, momentum: 1 - Math.fround(0.9) });
  });

  it('gives a node its own where other nodes use the same initializers', async () => {
    const shared = modelBytes({ node: [batchNormNode(), batchNormNode({ name: 'other', output: ['z'] })] });
    const one = await updateBatchNorms(shared, new Map([['norm', update]]));
    expect(await numbers(one)).to.deep.equal([NEW, OLD]);
    const both = await updateBatchNorms(
      shared,
      new Map([
        ['norm', update],
        ['other', { ...update, weight: entry([0, 0]) }],
      ]),
    );
    expect(await numbers(both)).to.deep.equal([NEW, [[0, 0], ...NEW.slice(1)]]);
    expect(await numbers(shared)).to.deep.equal([OLD, OLD]);
  });

  it('gives a node its own in the place of Constant and Identity nodes, and where the model gives it away', async () => {
    const bytes = modelBytes(
      {
        node: [
          { opType: 'Constant', output: ['s'], attribute: [{ name: 'value', type: 4, t: initializer('', [5, 6]) }] },
          { opType: 'Identity', input: ['w'], output: ['b'] },
          batchNormNode(),
        ],
        initializer: [initializer('w', [0, 0]), ...FOUR.slice(2)],
        output: [{ name: 'y' }, { name: 'v' }],
      },
      { irVersion: 3n },
    );
    const after = await updateBatchNorms(bytes, new Map([['norm', update]]));
    expect(await numbers(after)).to.deep.equal([NEW]);
    const { graph } = parse(after);
    expect(graph!.node[2]!.input).to.deep.equal(['x', 'norm.weight', 'norm.bias', 'm', 'norm.running_var']);
    expect(graph!.input.map(({ name }) => name)).to.deep.equal(['x', 'norm.weight', 'norm.bias', 'norm.running_var']);
    expect([...new Float32Array(graph!.initializer.find(({ name }) => name === 'v')!.rawData.slice().buffer)]).to.deep.equal(OLD[3]);
  });

  it('takes a name that is not used', async () => {
    const bytes = modelBytes({
      node: [
        batchNormNode({ input: ['x', 's', 'b', 'm', 'norm.running_var'] }),
        { opType: 'Relu', input: ['norm.running_var'], output: ['norm.running_var_2'] },
      ],
      initializer: [...FOUR.slice(0, 3), initializer('norm.running_var', [4, 0.5])],
    });
    const after = parse(await updateBatchNorms(bytes, new Map([['norm', update]])));
    expect(after.graph!.node[0]!.input[4]).to.equal('norm.running_var_3');
  });

  it('keeps the data types, and brings external data in', async () => {
    const half = { dims: [2n], dataType: DATA_TYPE.float16, int32Data: [0, 0] };
    const double = { dims: [2n], dataType: DATA_TYPE.float64, doubleData: [1, 2] };
    const outside = { dims: [2n], dataType: DATA_TYPE.float32, dataLocation: 1, externalData: [{ key: 'location', value: 'none.bin' }] };
    const short = { dims: [2n], dataType: DATA_TYPE.bfloat16, rawData: new Uint8Array(4) };
    const initializers = [half, double, outside, short].map((tensor, i) => ({ ...tensor, name: INPUTS[i + 1]! }));
    const after = await updateBatchNorms(modelBytes({ initializer: initializers }), new Map([['norm', update]]));
    expect(await numbers(after)).to.deep.equal([NEW]);
    expect(parse(after).graph!.initializer.map(({ dataType }) => dataType)).to.deep.equal([10, 11, 1, 16]);
  });

  const half = fourWith({ name: 's', dims: [2n], dataType: DATA_TYPE.float16, int32Data: [0, 0] });
  const refused: [title: string, code: ErrorCode, words: string, make: () => Promise<unknown>][] = [
    ['a name that no node has', 'ERR_INVALID_ARGUMENT', "'norm'", () => updateBatchNorms(modelBytes(), new Map([['nrom', update]]))],
    [
      'a name that two have',
      'ERR_INVALID_ARGUMENT',
      'not 2',
      () => updateBatchNorms(modelBytes({ node: [batchNormNode(), batchNormNode()] }), new Map([['norm', update]])),
    ],
    [
      'other channels',
      'ERR_SHAPE',
      'length 2',
      () => updateBatchNorms(modelBytes(), new Map([['norm', { running_mean: entry([1]), running_var: entry([1]) }]])),
    ],
    [
      'what is no state',
      'ERR_INVALID_ARGUMENT',
      "the update of 'norm'",
      () => updateBatchNorms(modelBytes(), new Map([['norm', 3 as never]])),
    ],
    [
      'an activation',
      'ERR_INVALID_ARGUMENT',
      "'relu'",
      () => updateBatchNorms(modelBytes(), new Map([['norm', layerOf({ activation: 'relu' })]])),
    ],
    [
      'momentum null',
      'ERR_INVALID_ARGUMENT',
      'cumulative',
      () => updateBatchNorms(modelBytes(), new Map([['norm', layerOf({ momentum: null })]])),
    ],
    [
      'no statistics',
      'ERR_INVALID_ARGUMENT',
      'running statistics',
      () => updateBatchNorms(modelBytes(), new Map([['norm', layerOf({ trackRunningStats: false })]])),
    ],
    [
      'what float32 cannot hold',
      'ERR_DTYPE',
      'range of float32',
      () => updateBatchNorms(modelBytes(), new Map([['norm', { ...update, weight: { ...entry([1, 1e300]), dtype: 'float64' } }]])),
    ],
    [
      'numbers that float32 cannot hold',
      'ERR_DTYPE',
      'range of float32',
      () => updateBatchNorms(modelBytes(), new Map([['norm', { ...update, weight: entry([1, 1e300]) }]])),
    ],
    [
      'what a half type cannot hold',
      'ERR_DTYPE',
      '70000',
      () => updateBatchNorms(modelBytes({ initializer: half }), new Map([['norm', { ...update, weight: entry([1, 70000]) }]])),
    ],
    ['what is not by name', 'ERR_INVALID_ARGUMENT', 'updates', () => updateBatchNorms(modelBytes(), [update] as never)],
    [
      'names that are none',
      'ERR_INVALID_ARGUMENT',
      'names of updates',
      () => updateBatchNorms(modelBytes(), new Map([[1, update]]) as never),
    ],
    [
      'a layer of another kind',
      'ERR_INVALID_ARGUMENT',
      'RecurrentBatchNorm',
      () => updateBatchNorms(modelBytes(), { norm: new RecurrentBatchNorm(2, { horizon: 2, device }) as never }),
    ],
    ['what is no model', 'ERR_INVALID_ARGUMENT', 'source', () => updateBatchNorms(5 as never, new Map())],
  ];
  for (const [title, code, words, make] of refused) {
    it(`refuses ${title}`, () => expectRejection(make(), code, words));
  }
});
