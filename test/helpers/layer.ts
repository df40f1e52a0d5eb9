/** One layer, one step: plain arrays in, plain arrays out. */

import { type BackendName, BatchNorm, type DType, Tensor } from '../../lib/index';
import type { Activation, Values } from '../../lib/validation/oracle';
import { device } from './device';

export type ParameterDType = 'float32' | 'float64';

export interface Setup {
  shape: readonly number[];
  x: Values;
  axis?: number;
  dtype?: DType;
  parameterDtype?: ParameterDType;
  weight?: Values | null;
  bias?: Values | null;
  residual?: Values | null;
  activation?: Activation;
  eps?: number;
  /** Statistics to normalize with in eval, to update in training. 0 and 1 when left out. */
  runningMean?: Values;
  runningVar?: Values;
  momentum?: number | null;
  runningVariance?: 'unbiased' | 'biased';
  training?: boolean;
  /** Run backward with this gradient. */
  dy?: Values;
  /** Write the output over the input. */
  inPlace?: boolean;
  backend?: BackendName;
}

export interface Step {
  output: Float32Array | Float64Array;
  runningMean: Float32Array | Float64Array;
  runningVar: Float32Array | Float64Array;
  gradients: {
    input: Float32Array | Float64Array;
    weight: Float32Array | Float64Array | null;
    bias: Float32Array | Float64Array | null;
    residual: Float32Array | Float64Array | null;
  } | null;
}

export const channelsOf = (shape: readonly number[], axis = 1): number => shape.at(axis)!;

function affineOf({ weight, bias }: Setup): boolean | 'weight' | 'bias' {
  if (weight && bias) return true;
  return weight ? 'weight' : bias ? 'bias' : false;
}

/** A layer with the setup's parameters and statistics, in the setup's mode. */
export function layerOf(setup: Setup): BatchNorm {
  const channels = channelsOf(setup.shape, setup.axis);
  const dtype = setup.parameterDtype ?? 'float32';
  const layer = new BatchNorm(channels, {
    affine: affineOf(setup),
    dtype,
    ...(setup.axis === undefined ? {} : { axis: setup.axis }),
    ...(setup.eps === undefined ? {} : { eps: setup.eps }),
    ...(setup.momentum === undefined ? {} : { momentum: setup.momentum }),
    ...(setup.activation === undefined ? {} : { activation: setup.activation }),
    ...(setup.runningVariance === undefined ? {} : { runningVariance: setup.runningVariance }),
    backend: setup.backend,
    device,
  });
  const entry = (data: Values) => ({
    dtype,
    shape: [channels],
    data: dtype === 'float64' ? Float64Array.from(data) : Float32Array.from(data),
  });
  layer.loadStateDict({
    running_mean: entry(setup.runningMean ?? new Float64Array(channels)),
    running_var: entry(setup.runningVar ?? new Float64Array(channels).fill(1)),
    num_batches_tracked: { dtype: 'int64', shape: [], data: new BigInt64Array(1) },
    ...(setup.weight ? { weight: entry(setup.weight) } : {}),
    ...(setup.bias ? { bias: entry(setup.bias) } : {}),
  });
  return layer.train(setup.training ?? true);
}

export async function runStep(setup: Setup): Promise<Step> {
  const { shape, dtype = 'float32', dy } = setup;
  using layer = layerOf(setup);
  using input = Tensor.from(Float64Array.from(setup.x), shape, { dtype, device });
  using residual = setup.residual ? Tensor.from(Float64Array.from(setup.residual), shape, { dtype, device }) : null;
  using output = layer.forward(input, {
    saveForBackward: dy !== undefined,
    ...(residual ? { residual } : {}),
    ...(setup.inPlace ? { out: input } : {}),
  });
  const step: Step = {
    output: await output.read(),
    runningMean: await layer.runningMean!.read(),
    runningVar: await layer.runningVar!.read(),
    gradients: null,
  };
  if (dy === undefined) return step;
  using gradOutput = Tensor.from(Float64Array.from(dy), shape, { dtype, device });
  const gradients = layer.backward(gradOutput);
  const take = async (tensor: Tensor | null | undefined): Promise<Float32Array | Float64Array | null> => {
    using owned = tensor ?? null;
    return owned ? owned.read() : null;
  };
  step.gradients = {
    input: (await take(gradients.input))!,
    weight: await take(gradients.weight),
    bias: await take(gradients.bias),
    residual: await take(gradients.residual),
  };
  return step;
}
