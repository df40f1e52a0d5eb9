/** The arithmetic of folding, in double: (w·x + b − mean)·scale + β = (w·scale)·x + (b − mean)·scale + β. */

import { expected } from '../errors';
import { checkState } from '../state_dict';

/** A batch norm in eval mode: scale·(x − mean) + shift. */
export interface Affine {
  readonly scale: Float64Array;
  /** β. */
  readonly shift: Float64Array;
  readonly mean: Float64Array;
}

/** What the batch norm of this state does to each channel. @throws {BatchNormError} where the state does not have so many channels. */
export function affineOfState(state: object, channels: number, eps: number): Affine {
  const names = [...['weight', 'bias'].filter((name) => Object.hasOwn(state, name)), 'running_mean', 'running_var'];
  const { values } = checkState(state, names, true, channels, 'float64', false);
  for (const name of names) if (!values.has(name)) throw expected(`'running_mean' and 'running_var'`, 'the state of the batch norm', state);
  const take = (name: string, otherwise: number) => Float64Array.from(values.get(name) ?? new Float64Array(channels).fill(otherwise));
  const gamma = take('weight', 1);
  const scale = take('running_var', 1).map((variance, channel) => {
    if (variance + eps > 0) return gamma[channel]! / Math.sqrt(variance + eps);
    throw expected(`more than 0 with eps ${eps}`, `running_var[${channel}]`, variance);
  });
  return { scale, shift: take('bias', 0), mean: take('running_mean', 0) };
}

/** The weight, in double, with each output channel scaled. */
export function scaleChannels(weight: ArrayLike<number>, shape: readonly number[], axis: number, { scale }: Affine): Float64Array {
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const scaled = new Float64Array(weight);
  for (let begin = 0; begin < scaled.length; begin += inner) {
    const factor = scale[(begin / inner) % shape[axis]!]!;
    for (let i = begin; i < begin + inner; ++i) scaled[i]! *= factor;
  }
  return scaled;
}

/** The bias, in double, that goes with the scaled weight. */
export function foldBias(bias: ArrayLike<number>, { scale, shift, mean }: Affine): Float64Array {
  return Float64Array.from(bias, (value, i) => (value - mean[i]!) * scale[i]! + shift[i]!);
}

/** The dimension that a number such as −1 means. */
export function checkOutputAxis(value: unknown, shape: readonly number[], name: string): number {
  if (typeof value === 'number' && Number.isInteger(value)) {
    const axis = value < 0 ? value + shape.length : value;
    if (axis >= 0 && axis < shape.length) return axis;
  }
  throw expected(
    `a dimension of the weight, of shape [${shape.join(', ')}],`,
    name,
    value,
    typeof value === 'number' ? 'ERR_SHAPE' : undefined,
  );
}
