/** The output in the input's place, and backward from the output alone. */

import { expect } from 'chai';
import {
  BatchNorm,
  type BatchNormOptions,
  batchNormBackward,
  batchNormInference,
  batchNormTraining,
  type DType,
  Tensor,
} from '../lib/index';
import { DTYPES, roundAll } from '../lib/validation/number_format';
import { ACTIVATIONS, type Activation, batchStatistics, viewOf } from '../lib/validation/oracle';
import { backwardBound, keepOffKinks, type Pass } from '../lib/validation/tolerance';
import { describeCuda } from './helpers/cuda';
import { describeCudnn } from './helpers/cudnn';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';
import { channelsOf, type ParameterDType } from './helpers/layer';
import { normals } from './helpers/random';
import { expectSame, expectWithin } from './helpers/within';

interface Setup {
  shape: readonly number[];
  axis: number;
  dtype: DType;
  parameterDtype: ParameterDType;
  activation: Activation;
  training: boolean;
  x: Float64Array;
  dy: Float64Array;
  weight: Float64Array | null;
  bias: Float64Array | null;
  mean: Float64Array;
  variance: Float64Array;
  eps?: number;
}

/** Long runs, short ones, channels last: whole accesses and odd ones; few values and many. */
const SHAPES: readonly (readonly [shape: readonly number[], axis: number])[] = [
  [[4, 3, 40], 1],
  [[2, 2, 4099], 1],
  [[6, 8, 7, 7], 1],
  [[5, 9, 31], -1],
  [[300, 16], -1],
  [[33, 5], -1],
];

function setupOf(shape: readonly number[], axis: number, dtype: DType, given: Partial<Setup> = {}): Setup {
  const count = shape.reduce((a, b) => a * b, 1);
  const channels = channelsOf(shape, axis);
  const parameterDtype = given.parameterDtype ?? (dtype === 'float64' ? 'float64' : 'float32');
  const setup: Setup = {
    shape,
    axis,
    dtype,
    parameterDtype,
    activation: 'leakyRelu',
    training: true,
    x: roundAll(normals(count, 1, 2, 3), dtype),
    dy: roundAll(normals(count, 2, 0.3), dtype),
    // Of either sign, and none near 0.
    weight: roundAll(
      normals(channels, 3, 0, 0.5).map((v) => v + Math.sign(v) * 0.25),
      parameterDtype,
    ),
    bias: roundAll(normals(channels, 4), parameterDtype),
    mean: roundAll(normals(channels, 5, 2), parameterDtype),
    variance: roundAll(
      normals(channels, 6).map((v) => v * v + 4),
      parameterDtype,
    ),
    ...given,
  };
  return { ...setup, dy: keepOffKinks(setup.dy, passOf(setup)) };
}

function passOf({ x, shape, axis, dtype, parameterDtype, training, mean, variance, ...layer }: Setup): Pass {
  const view = viewOf(shape, axis);
  return { x, view, statistics: training ? batchStatistics(x, view) : { mean, variance }, layer, dtype, parameterDtype, inPlace: true };
}

const tensorOf = (data: Float64Array, shape: readonly number[], dtype: DType) => Tensor.from(data, shape, { dtype, device });

function layerOf(setup: Setup, options: BatchNormOptions): BatchNorm {
  const { weight, bias, mean, variance, shape, axis, activation, parameterDtype: dtype, training, eps } = setup;
  const affine = weight && bias ? true : weight ? 'weight' : bias ? 'bias' : false;
  const layer = new BatchNorm(channelsOf(shape, axis), { axis, activation, dtype, affine, eps, device, ...options });
  if (weight) layer.weight!.write(weight);
  if (bias) layer.bias!.write(bias);
  layer.runningMean!.write(mean);
  layer.runningVar!.write(variance);
  return layer.train(training);
}

/** What a pass and its backward computed. */
async function run(setup: Setup, inPlace: boolean) {
  using layer = layerOf(setup, { inPlace });
  using input = tensorOf(setup.x, setup.shape, setup.dtype);
  using gradOutput = tensorOf(setup.dy, setup.shape, setup.dtype);
  const output = layer.forward(input, { saveForBackward: true });
  expect(output === input).to.equal(inPlace);
  const y = await output.read();
  output.dispose(); // the layer has its own hold
  const gradients = layer.backward(gradOutput);
  const read = async (tensor: Tensor | null) => {
    using owned = tensor;
    return owned && (await owned.read());
  };
  return { y, input: (await read(gradients.input))!, weight: await read(gradients.weight), bias: await read(gradients.bias) };
}

async function expectGradients(setup: Setup): Promise<void> {
  const inPlace = await run(setup, true);
  const apart = await run(setup, false);
  expectSame(inPlace.y, apart.y, 'output');
  const bounds = backwardBound(setup.dy, passOf(setup), !setup.training);
  expectWithin(inPlace.input, bounds.input, setup.dtype, 'gradient of the input');
  for (const name of ['weight', 'bias'] as const) {
    expect(inPlace[name] === null, name).to.equal(setup[name] === null);
    if (inPlace[name] !== null) expectWithin(inPlace[name], bounds[name], setup.parameterDtype, `gradient of ${name}`);
  }
}

const SMALL = [6, 2, 3] as const;
const small = (given: Partial<Setup> = {}) => setupOf(SMALL, 1, 'float32', given);
const ones = () => Tensor.full(SMALL, 1, { device });
const inPlaceLayer = (options: BatchNormOptions = {}) => new BatchNorm(2, { inPlace: true, device, ...options });

describe('in place', () => {
  for (const dtype of DTYPES) {
    for (const activation of ['identity', 'leakyRelu'] as const) {
      for (const training of [true, false]) {
        it(`has the gradients of ${dtype} with ${activation} in ${training ? 'training' : 'eval'}`, async () => {
          for (const [shape, axis] of SHAPES) await expectGradients(setupOf(shape, axis, dtype, { activation, training }));
        });
      }
    }
  }

  it('has the gradients of float32 with parameters of float64', async () => {
    for (const [shape, axis] of SHAPES) await expectGradients(setupOf(shape, axis, 'float32', { parameterDtype: 'float64' }));
  });

  it('has the gradients of channels that take several threads and blocks', async () => {
    await expectGradients(setupOf([2, 1, 70_001], 1, 'float32'));
    await expectGradients(setupOf([30_001, 5], -1, 'float32'));
  });

  it('has the gradients of a layer without weight, without bias, and without either', async () => {
    for (const without of [{ weight: null }, { bias: null }, { weight: null, bias: null }]) {
      for (const [shape, axis] of SHAPES) await expectGradients(setupOf(shape, axis, 'float32', without));
    }
  });

  it('takes the side of 0 from the output itself, where the bias would swallow it', async () => {
    const e = 2 ** -23;
    const setup: Setup = {
      ...setupOf([4, 1], 1, 'float32', { training: false, weight: Float64Array.of(1 + e), bias: Float64Array.of(1) }),
      x: new Float64Array(4).fill(e - 1), // (1 + e) · (e − 1) + 1 = e² above 0
      dy: new Float64Array(4).fill(1),
      mean: new Float64Array(1),
      variance: Float64Array.of(1),
      eps: 0,
    };
    const [inPlace, apart] = [await run(setup, true), await run(setup, false)];
    expectSame(inPlace.bias!, apart.bias!, 'gradient of bias');
  });

  for (const dtype of DTYPES) {
    it(`of ${dtype} does not know the gradient of a weight that is 0, and has all others`, async () => {
      for (const [shape, axis] of SHAPES) {
        const whole = setupOf(shape, axis, dtype);
        const weight = whole.weight!.with(1, 0);
        const setup = setupOf(shape, axis, dtype, { weight, bias: whole.bias!.with(1, 0.3) });
        const inPlace = await run(setup, true);
        const bounds = backwardBound(setup.dy, passOf(setup), false);
        const expected = Float64Array.from(bounds.weight.expected).with(1, Number.NaN);
        expectWithin(inPlace.weight!, { ...bounds.weight, expected }, setup.parameterDtype, 'gradient of weight');
        expectWithin(inPlace.bias!, bounds.bias, setup.parameterDtype, 'gradient of bias');
        // Elsewhere the bound holds; where the weight is 0 it is no number, and the gradient is 0.
        const tolerance = Float64Array.from(bounds.input.tolerance, (t) => (Number.isNaN(t) ? 0 : t));
        expectWithin(inPlace.input, { ...bounds.input, tolerance }, dtype, 'gradient of the input');
      }
    });
  }

  it('loses the normalized values of a channel whose weight the bias swallows', async () => {
    const setup = small({ weight: Float64Array.of(2 ** -30, 1), bias: Float64Array.of(1, 1), activation: 'identity' });
    const { y, weight, bias } = await run(setup, true);
    expect(y[0]).to.equal(1);
    const apart = await run(setup, false);
    expect(weight![0]).to.equal(0);
    expect(Math.abs(apart.weight![0]!)).to.be.above(0.1);
    expectSame(bias!, apart.bias!, 'gradient of bias');
    expect(weight![1]).to.be.closeTo(apart.weight![1]!, 1e-5);
  });

  for (const training of [true, false]) {
    it(`writes over the input in ${training ? 'training' : 'eval'}, saved or not`, async () => {
      using layer = inPlaceLayer().train(training);
      for (const saveForBackward of [true, false]) {
        for (const own of [true, false]) {
          const setup = small();
          using input = tensorOf(setup.x, SMALL, 'float32');
          using apart = new BatchNorm(2, { device }).train(training);
          const expected = await apart.forward(input).read();
          expect(layer.forward(input, { saveForBackward, ...(own && { out: input }) })).to.equal(input);
          expectSame(await input.read(), expected, 'input');
        }
      }
    });
  }

  it('leaves an empty batch empty', async () => {
    using layer = inPlaceLayer();
    using input = Tensor.empty([0, 2, 3], { device });
    expect(layer.forward(input)).to.equal(input);
    expect([...(await layer.backward(input).weight!.read())]).to.deep.equal([0, 0]);
  });

  it('notices that the output was changed before backward', () => {
    using layer = inPlaceLayer();
    using input = ones();
    const output = layer.forward(input);
    output.write(new Float32Array(36));
    expectError(() => layer.backward(input), 'ERR_STATE', 'output', 'changed');
    using second = inPlaceLayer();
    second.forward(layer.forward(input));
    second.backward(input);
    expectError(() => layer.backward(input), 'ERR_STATE', 'output', 'changed');
  });

  it('says so', () => {
    expect(inPlaceLayer().inPlace).to.equal(true);
    expect(`${inPlaceLayer()}`).to.include('inPlace: true');
    expect(new BatchNorm(2, { device }).inPlace).to.equal(false);
    expect(`${new BatchNorm(2, { device, inPlace: false })}`).to.not.include('inPlace');
  });

  it('is the remedy where the output may not be the input', () => {
    using input = ones();
    expectError(() => new BatchNorm(2, { device }).forward(input, { out: input }), 'ERR_INVALID_ARGUMENT', 'inPlace: true');
  });

  describe('refuses', () => {
    for (const activation of ACTIVATIONS) {
      if (activation === 'identity' || activation === 'leakyRelu') continue;
      it(`${activation}, and says why`, () => {
        const reason = { relu: '0 of everything', silu: 'two arguments', gelu: 'two arguments' }[activation as string] ?? 'is flat';
        const words = [`'identity' or 'leakyRelu'`, `'${activation}'`, reason];
        expectError(() => inPlaceLayer({ activation }), 'ERR_INVALID_ARGUMENT', ...words);
        expectError(() => batchNormTraining(ones(), { activation, inPlace: true }), 'ERR_INVALID_ARGUMENT', ...words);
        expect(new BatchNorm(2, { activation, device, inPlace: false }).inPlace).to.equal(false);
      });
    }

    it('what is no boolean', () => {
      expectError(() => inPlaceLayer({ inPlace: 'yes' as never }), 'ERR_INVALID_ARGUMENT', 'a boolean', 'options.inPlace', `'yes'`);
    });

    it('a residual, and leaves the input as it was', async () => {
      using layer = inPlaceLayer();
      using input = ones();
      expectError(() => layer.forward(input, { residual: ones() }), 'ERR_INVALID_ARGUMENT', 'no options.residual', 'inPlace');
      expect([...(await input.read())]).to.deep.equal(Array(36).fill(1));
      expect(layer.numBatchesTracked).to.equal(0);
    });

    it('an output elsewhere', () => {
      expectError(() => inPlaceLayer().forward(ones(), { out: ones() }), 'ERR_INVALID_ARGUMENT', 'no options.out but the input');
    });
  });

  describeCudnn('with cuDNN', () => {
    it('is refused, for its backward reads the input', () => {
      expectError(() => inPlaceLayer({ backend: 'cudnn' }), 'ERR_INVALID_ARGUMENT', `backend 'native'`, `'cudnn'`, 'reads the input');
    });
  });

  describe('in the functional form', () => {
    const setup = small();
    const options = () => ({
      weight: tensorOf(setup.weight!, [2], 'float32'),
      bias: tensorOf(setup.bias!, [2], 'float32'),
      activation: 'leakyRelu' as const,
      inPlace: true,
    });
    const gradient = () => tensorOf(setup.dy, SMALL, 'float32');

    for (const training of [true, false]) {
      it(`is what the layer does in ${training ? 'training' : 'eval'}`, async () => {
        const expected = await run({ ...setup, training }, true);
        const input = tensorOf(setup.x, SMALL, 'float32');
        const [mean, variance] = [tensorOf(setup.mean, [2], 'float32'), tensorOf(setup.variance, [2], 'float32')];
        const made = training ? batchNormTraining(input, options()) : { output: batchNormInference(input, mean, variance, options()) };
        expect(made.output).to.equal(input);
        expectSame(await input.read(), expected.y, 'output');
        const given = 'statistics' in made ? { statistics: made.statistics } : { mean, variance };
        const gradients = batchNormBackward(gradient(), input, { ...options(), ...given });
        for (const name of ['input', 'weight', 'bias'] as const) expectSame(await gradients[name]!.read(), expected[name]!, name);
      });
    }

    it('refuses a residual and a mask in backward', () => {
      const input = ones();
      const { statistics, mask } = batchNormTraining(input, { activation: 'leakyRelu', residual: ones() });
      const backward = (more: object) => batchNormBackward(gradient(), input, { ...options(), statistics, ...more });
      expectError(() => backward({ residual: ones() }), 'ERR_INVALID_ARGUMENT', 'no options.residual', 'inPlace');
      expectError(() => backward({ mask }), 'ERR_INVALID_ARGUMENT', 'no options.mask', 'inPlace');
    });
  });

  it('holds one tensor less for each layer of a training step', () => {
    const LAYERS = 5;
    const shape = [8, 4, 512];
    const bytes = 8 * 4 * 512 * 4;
    const held = (inPlace: boolean) => {
      const layers = Array.from({ length: LAYERS }, () => new BatchNorm(4, { device, inPlace }));
      const { live } = device.memory();
      const outputs = layers.map((layer) => {
        const input = Tensor.zeros(shape, { device }); // as a convolution makes it
        const output = layer.forward(input);
        if (output !== input) input.dispose(); // the layer has its own hold
        return output;
      });
      const saved = device.memory().live - live;
      for (const owner of [...outputs, ...layers]) owner.dispose();
      return saved;
    };
    const inPlace = held(true);
    expect(inPlace).to.be.at.least(LAYERS * bytes);
    expect(held(false) - inPlace).to.equal(LAYERS * bytes);
  });

  describeCuda('in a graph', () => {
    it('is the same step, to the bit', async () => {
      const setup = setupOf([8, 6, 7, 7], 1, 'float32');
      const expected = await run(setup, true);
      using layer = layerOf(setup, { inPlace: true });
      using input = tensorOf(setup.x, setup.shape, 'float32');
      using gradOutput = tensorOf(setup.dy, setup.shape, 'float32');
      let weight: Tensor | null = null;
      using graph = device.capture(() => {
        layer.forward(input);
        const gradients = layer.backward(gradOutput);
        gradients.input.dispose();
        gradients.bias!.dispose();
        weight = gradients.weight;
      });
      for (let launch = 0; launch < 2; ++launch) {
        input.write(setup.x);
        graph.launch();
        expectSame(await input.read(), expected.y, 'output');
        expectSame(await weight!.read(), expected.weight!, 'gradient of weight');
      }
    });
  });
});
