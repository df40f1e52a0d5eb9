/** Every gradient in float64 against central differences of our own forward pass: no reference is involved. */

import { expect } from 'chai';
import { type BatchNorm, Tensor } from '../lib/index';
import { ACTIVATIONS, type Activation, batchStatistics, normalize, type Values, viewOf } from '../lib/validation/oracle';
import { device } from './helpers/device';
import { channelsOf, layerOf, type Setup } from './helpers/layer';
import { normals } from './helpers/random';
import { withShared } from './helpers/shared';

const STEP = 1e-5;
/** Truncation is h² times a third derivative (1e-10 times some tens), rounding 1e-16 / h times the loss. */
const TOLERANCE = 2e-8;

type Float64Setup = Setup & { axis: number; dy: Values; x: Float64Array };

function forwardOnce(layer: BatchNorm, setup: Float64Setup, saveForBackward: boolean): Tensor {
  using input = Tensor.from(setup.x, setup.shape, { dtype: 'float64', device });
  if (!setup.residual) return layer.forward(input, { saveForBackward });
  using residual = Tensor.from(Float64Array.from(setup.residual), setup.shape, { dtype: 'float64', device });
  return layer.forward(input, { saveForBackward, residual });
}

function loss(setup: Float64Setup): number {
  using layer = layerOf(setup);
  using output = forwardOnce(layer, setup, false);
  return Array.from(output.readSync()).reduce((sum, y, i) => sum + y * setup.dy[i]!, 0);
}

interface Analytic {
  x: Values;
  weight: Values | null;
  bias: Values | null;
  residual: Values | null;
}

function analyticGradients(setup: Float64Setup): Analytic {
  using layer = layerOf(setup);
  using _output = forwardOnce(layer, setup, true);
  using gradOutput = Tensor.from(Float64Array.from(setup.dy), setup.shape, { dtype: 'float64', device });
  const { input, weight, bias, residual } = layer.backward(gradOutput);
  const take = (tensor: Tensor | null | undefined): Values | null => {
    using owned = tensor ?? null;
    return owned?.readSync() ?? null;
  };
  return { x: take(input)!, weight: take(weight), bias: take(bias), residual: take(residual) };
}

function checkGradients(setup: Float64Setup): void {
  const analytic = analyticGradients(setup);
  for (const name of ['x', 'weight', 'bias', 'residual'] as const) {
    const values = setup[name];
    const gradient = analytic[name];
    expect(gradient === null, `whether ${name} has a gradient`).to.equal(!values);
    if (!values || !gradient) continue;
    for (let i = 0; i < values.length; i++) {
      const moved = (by: number): number => loss({ ...setup, [name]: Float64Array.from(values, (v, j) => (i === j ? v + by : v)) });
      const numeric = (moved(STEP) - moved(-STEP)) / (2 * STEP);
      expect(gradient[i], `gradient of ${name}[${i}]`).to.be.closeTo(numeric, TOLERANCE * Math.max(1, Math.abs(numeric)));
    }
  }
}

const SHAPES: readonly (readonly [shape: readonly number[], axis: number])[] = [
  [[3, 2, 2], 1],
  [[3, 2, 2], -1],
  [[2, 3, 1, 2], 0],
];

function setupFor(
  shape: readonly number[],
  axis: number,
  kind: Activation,
  training: boolean,
  affine: string,
  withResidual: boolean,
): Float64Setup {
  const channels = channelsOf(shape, axis);
  const count = shape.reduce((a, b) => a * b, 1);
  // Fresh data until no pre-activation lies so close to 0 that a step could cross the kink of relu.
  for (let seed = 1; ; seed += 10) {
    const setup: Float64Setup = {
      shape,
      axis,
      dtype: 'float64',
      parameterDtype: 'float64',
      x: normals(count, seed, 0.5, 1.5),
      weight: affine === 'both' || affine === 'weight' ? normals(channels, seed + 1, 1, 0.5) : null,
      bias: affine === 'both' || affine === 'bias' ? normals(channels, seed + 2) : null,
      residual: withResidual ? normals(count, seed + 3) : null,
      activation: kind,
      eps: 0.1,
      runningMean: normals(channels, seed + 4),
      runningVar: normals(channels, seed + 5).map((v) => 0.5 + v * v),
      training,
      dy: normals(count, seed + 6),
    };
    const view = viewOf(shape, axis);
    const statistics = training ? batchStatistics(setup.x, view) : { mean: setup.runningMean!, variance: setup.runningVar! };
    if (normalize(setup.x, view, statistics, setup).pre.every((value) => Math.abs(value) > 1e-3)) return setup;
  }
}

describe('float64 gradients by central differences', () => {
  for (const kind of ACTIVATIONS) {
    for (const training of [true, false]) {
      it(`${kind} in ${training ? 'training' : 'eval'}: with and without residual, weight, bias; every axis`, () => {
        for (const [shape, axis] of SHAPES) {
          for (const affine of ['both', 'weight', 'bias', 'neither']) {
            for (const withResidual of [false, true]) checkGradients(setupFor(shape, axis, kind, training, affine, withResidual));
          }
        }
      });
    }
  }

  withShared<{
    deterministic_gradcheck_input: {
      epsilon: number;
      momentum: number;
      training: boolean[];
      x: { shape: number[]; data: number[] };
      weight: number[];
      bias: number[];
      running_mean: number[];
      running_var: number[];
    };
  }>('vectors/pytorch_checklist.json', ({ deterministic_gradcheck_input: input }) => {
    for (const training of input.training) {
      it(`PyTorch's gradcheck input, training = ${training}`, () => {
        const setup: Float64Setup = {
          shape: input.x.shape,
          axis: 1,
          dtype: 'float64',
          parameterDtype: 'float64',
          x: Float64Array.from(input.x.data),
          weight: input.weight,
          bias: input.bias,
          runningMean: input.running_mean,
          runningVar: input.running_var,
          eps: input.epsilon,
          momentum: input.momentum,
          training,
          dy: normals(input.x.data.length, 7),
        };
        const analytic = analyticGradients(setup);
        for (const name of ['x', 'weight', 'bias'] as const) {
          const values = setup[name]!;
          for (let i = 0; i < values.length; i++) {
            const moved = (by: number): number => loss({ ...setup, [name]: Float64Array.from(values, (v, j) => (i === j ? v + by : v)) });
            const numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            // torch.autograd.gradcheck's criterion. In eval, channel 0 has variance 0 and divides by √eps: a loss of some thousands.
            expect(analytic[name]![i]).to.be.closeTo(numeric, 1e-5 + 1e-3 * Math.abs(numeric));
          }
        }
      });
    }
  });
});
