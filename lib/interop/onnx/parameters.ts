/** What is written: the parameters and statistics of a layer, or of a state. */

import { BatchNorm } from '../../batch_norm';
import type { HostValues, ParameterDType } from '../../dtype';
import { BatchNormError, expected } from '../../errors';
import { checkShape } from '../../shape';
import { checkEntryObject, checkState, type LoadableEntry } from '../../state_dict';
import { stateOf } from '../layer_or_state';
import type { ParameterName } from './node';

/** A state by our names, with `running_mean` and `running_var`, as `stateDict()` gives it. */
export type OnnxState = Readonly<Record<string, LoadableEntry>>;

/** The four, as ONNX wants them: all there. */
export interface Parameters {
  channels: number;
  /** Of all of them together; the values are not rounded to it yet. */
  dtype: ParameterDType;
  values: Readonly<Record<ParameterName, HostValues>>;
}

/** A copy of them; ones and zeros where there is no weight or bias. */
export async function parametersOf(source: unknown, name: string): Promise<Parameters> {
  if (source instanceof BatchNorm) checkTracks(source, name);
  const state = await stateOf(source, name);
  const { shape, dtype } = checkEntryObject(state.running_mean, `running_mean of ${name}`);
  const [channels, ...more] = checkShape(shape, `shape of running_mean of ${name}`);
  if (channels === undefined || channels < 1 || more.length > 0)
    throw expected('[C]', `shape of running_mean of ${name}`, shape, 'ERR_SHAPE');
  const isDouble = Object.values(state).some((entry) => (entry as { dtype?: unknown } | null)?.dtype === 'float64');
  const target = isDouble || dtype === 'float64' ? 'float64' : 'float32';
  const names = ['running_mean', 'running_var', ...['weight', 'bias'].filter((parameter) => Object.hasOwn(state, parameter))];
  const { values } = checkState(state, names, true, channels, 'float64', true); // as they are given: it is rounded once, when encoded
  const constant = (value: number) => (target === 'float64' ? new Float64Array(channels) : new Float32Array(channels)).fill(value);
  return {
    channels,
    dtype: target,
    values: {
      weight: values.get('weight') ?? constant(1),
      bias: values.get('bias') ?? constant(0),
      running_mean: values.get('running_mean')!,
      running_var: values.get('running_var')!,
    },
  };
}

function checkTracks(layer: BatchNorm, name: string): void {
  if (layer.runningMean !== null) return;
  const message = `Expected a layer with running statistics for ${name} but received ${layer}: what it computes depends on the batch`;
  throw new BatchNormError('ERR_INVALID_ARGUMENT', message);
}

/** A node's attributes. */
export interface OnnxSettings {
  epsilon: number;
  /** The weight of the old value. */
  momentum: number;
}

/** A layer's settings in ONNX's terms, and in its float32. */
export function onnxSettings(eps: number, momentum: number | null): OnnxSettings {
  if (momentum !== null) return { epsilon: checkFloat32(eps, 'eps'), momentum: checkFloat32(1 - momentum, '1 - momentum') };
  const reason = 'ONNX has no cumulative average; give the state with a momentum instead';
  throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected a number for momentum but received null: ${reason}`);
}

function checkFloat32(value: number, name: string): number {
  const rounded = Math.fround(value);
  if (Number.isFinite(rounded) && (rounded !== 0 || value === 0)) return rounded;
  throw expected('a number within the range of float32, which ONNX has,', name, value);
}
