/** Layers of every kind for properties. */

import fc from 'fast-check';
import { type Activation, BatchNorm, type BatchNormOptions, type NumericArray, type ParameterDType } from '../../lib/index';
import { device } from '../helpers/device';
import { normals } from '../helpers/random';

export interface Sample {
  channels: number;
  /** Of an input. */
  shape: number[];
  seed: number;
  options: BatchNormOptions & { dtype: ParameterDType; axis: number; affine: boolean | 'weight' | 'bias'; activation: Activation };
}

/** Layers with running statistics, and inputs for them; `fixed` options are the same in all of them. */
export function samples(fixed: Partial<Sample['options']> = {}): fc.Arbitrary<Sample> {
  const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 5 });
  const base = fc.record({
    shape: shapes,
    seed: fc.integer({ min: 0, max: 2 ** 31 }),
    negative: fc.boolean(),
    axis: fc.nat(),
    affine: fc.constantFrom<Sample['options']['affine'][]>(true, false, 'weight', 'bias'),
    eps: fc.constantFrom(1e-5, 1e-3, 0.5, 2 ** -10),
    momentum: fc.constantFrom(0.1, 0.5, 1, 0.01),
    dtype: fc.constantFrom<ParameterDType[]>('float32', 'float64'),
    activation: fc.constantFrom<Activation[]>('identity', 'relu', 'leakyRelu', 'elu', 'sigmoid', 'tanh', 'silu', 'gelu'),
    runningVariance: fc.constantFrom<('unbiased' | 'biased')[]>('unbiased', 'biased'),
  });
  return base.map(({ shape, seed, negative, axis, ...options }) => {
    const dimension = axis % shape.length;
    const given = { ...options, axis: negative ? dimension - shape.length : dimension, ...fixed };
    return { shape, seed, channels: shape.at(given.axis)!, options: given };
  });
}

/** The layer, in eval mode, with parameters and statistics that are not their defaults. */
export function layerOf({ channels, seed, options }: Sample): BatchNorm {
  const layer = new BatchNorm(channels, { ...options, device });
  layer.weight?.write(normals(channels, seed + 1));
  layer.bias?.write(normals(channels, seed + 2));
  layer.runningMean!.write(normals(channels, seed + 3, 1, 2));
  layer.runningVar!.write(normals(channels, seed + 4).map((value) => value * value + 0.01));
  return layer.eval();
}

export function inputOf({ shape, seed, options }: Sample): Float32Array | Float64Array {
  const values = normals(
    shape.reduce((product, size) => product * size, 1),
    seed,
    1,
    3,
  );
  return options.dtype === 'float64' ? values : Float32Array.from(values);
}

/** Entry of a state. */
export const entry = (data: NumericArray, dtype: ParameterDType = 'float32') => ({ dtype, shape: [data.length], data });
