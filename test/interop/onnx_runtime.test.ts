import { expect } from 'chai';
import fc from 'fast-check';
import { encodeOnnx, readBatchNorms, updateBatchNorms } from '../../lib/interop/onnx';
import { DATA_TYPE } from '../../lib/interop/onnx/schema';
import { device } from '../helpers/device';
import { expectWithin, within } from '../helpers/within';
import { inputOf, layerOf, type Sample, samples } from './layers';
import {
  batchNormNode,
  FOUR,
  float,
  fourWith,
  type GraphInit,
  initializer,
  largest,
  type ModelInit,
  modelBytes,
  runLayer,
  runOnnx,
  valueInfo,
} from './onnx_models';

const DOUBLE_ACTIVATIONS = ['identity', 'relu', 'sigmoid', 'tanh'];
const X = Float32Array.of(1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, 60);
const SHAPE = [2, 2, 3];

/** To rounding: ONNX Runtime folds the parameters into a factor and a summand, whose errors are of the size of the parts. */
async function expectSameAsOnnx(
  model: Uint8Array,
  { sample, layer }: { sample: Sample; layer: ReturnType<typeof layerOf> },
): Promise<void> {
  const input = inputOf(sample);
  const [theirs, ours] = [await runOnnx(model, input, sample.shape), await runLayer(layer, input, sample.shape)];
  const { dtype } = sample.options;
  const unit = dtype === 'float64' ? 1e-8 : 1e-6; // eps is float32 in the file, whatever the layer is
  expectWithin(ours, within(theirs, unit * largest(theirs, 10)), dtype, JSON.stringify(sample));
}

describe('ONNX Runtime', function () {
  this.timeout(120_000);

  it('computes what a layer computes from the model that the layer is written as', async () => {
    const cases = fc.tuple(samples(), fc.constantFrom(9, 13, 14, 15, 18, 20, 22, 23), fc.boolean());
    await fc.assert(
      fc.asyncProperty(cases, async ([sample, opset, byRank]) => {
        fc.pre(sample.options.dtype === 'float32' || DOUBLE_ACTIVATIONS.includes(sample.options.activation));
        using layer = layerOf(sample);
        const model = await encodeOnnx(layer, { opset, ...(byRank ? { rank: sample.shape.length } : { shape: sample.shape }) });
        await expectSameAsOnnx(model, { sample, layer });
      }),
      { numRuns: 150 },
    );
  });

  it('computes every activation at every version of the operators', async () => {
    for (const opset of [9, 15, 20, 23]) {
      for (const activation of ['identity', 'relu', 'leakyRelu', 'elu', 'sigmoid', 'tanh', 'silu', 'gelu'] as const) {
        const options = { activation, axis: 1, affine: true, dtype: 'float32' } as const;
        const sample: Sample = { channels: 3, shape: [4, 3, 5], seed: 5, options };
        using layer = layerOf(sample);
        await expectSameAsOnnx(await encodeOnnx(layer, { rank: 3, opset }), { sample, layer });
      }
    }
  });

  const models: [title: string, graph: GraphInit, model?: ModelInit][] = [
    ['raw data', {}],
    ['defaults of epsilon and momentum', { node: [batchNormNode()] }],
    ['a large epsilon', { node: [batchNormNode({ attribute: [float('epsilon', 0.5)] })] }],
    ['float data', { initializer: fourWith({ name: 's', dims: [2n], dataType: DATA_TYPE.float32, floatData: [7, -1] }) }],
    ['operators of version 9', {}, { opsetImport: [{ version: 9n }] }],
    ['operators of version 7 by the long name', {}, { opsetImport: [{ domain: 'ai.onnx', version: 7n }], irVersion: 3n }],
    [
      'Constant and Identity nodes',
      {
        node: [
          { opType: 'Constant', output: ['s'], attribute: [{ name: 'value', type: 4, t: initializer('', [5, 6]) }] },
          { opType: 'Constant', output: ['b'], attribute: [{ name: 'value_floats', type: 6, floats: [0.5, -0.5] }] },
          { opType: 'Identity', input: ['shared'], output: ['m'] },
          { opType: 'Identity', input: ['m'], output: ['v'] },
          batchNormNode(),
        ],
        initializer: [initializer('shared', [2, 3])],
      },
    ],
  ];
  for (const [title, graph, more] of models) {
    it(`computes what the layer read from its model computes: ${title}`, async () => {
      // In the oldest file format initializers are inputs as well.
      const parameters = more?.irVersion === 3n ? FOUR.map(({ name }) => valueInfo(name!, 1, [2])) : [];
      const bytes = modelBytes({ ...graph, input: [valueInfo('x', 1, SHAPE), ...parameters] }, more);
      const [found, ...others] = await readBatchNorms(bytes);
      expect(others).to.deep.equal([]);
      using layer = found!.toBatchNorm({ device });
      const theirs = await runOnnx(bytes, X, SHAPE);
      expectWithin(await runLayer(layer, X, SHAPE), within(theirs, 1e-5, 1e-6), 'float32', title);
    });
  }

  it('computes with the parameters put into its model, and the node beside it as before', async () => {
    const second = batchNormNode({ name: 'second', input: ['between', 's', 'b', 'm2', 'v'] });
    const bytes = modelBytes({
      node: [batchNormNode({ output: ['between'] }), second],
      initializer: [...FOUR, initializer('m2', [0.5, 1])],
    });
    await fc.assert(
      fc.asyncProperty(samples({ axis: 1, activation: 'identity', dtype: 'float32' }), async (drawn) => {
        const sample: Sample = { ...drawn, channels: 2, shape: SHAPE };
        using layer = layerOf(sample);
        const updated = await updateBatchNorms(bytes, new Map([['norm', layer]]));
        const unchanged = (await readBatchNorms(bytes))[1]!;
        using next = unchanged.toBatchNorm({ device });
        expect((await readBatchNorms(updated))[1]).to.deep.equal(unchanged);
        const wanted = await runLayer(next, Float32Array.from(await runLayer(layer, X, SHAPE)), SHAPE);
        expectWithin(await runOnnx(updated, X, SHAPE), within(wanted, 1e-6 * largest(wanted, 10)), 'float32', JSON.stringify(sample));
      }),
      { numRuns: 30 },
    );
  });
});
