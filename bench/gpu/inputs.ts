/** The numbers that every contender works on: the same in every process, whatever the size of the tensors. */

import { nativeDevice, streamOf } from '../../lib/device';
import { type Device, Tensor } from '../../lib/index';
import { randomValues } from '../cpu/data';
import { channelsOf, type GpuDType, type GpuProblem, memoryShape } from './problem';

/** Tensors repeat this many random values: to make hundreds of millions takes longer than to measure with them. */
export const PERIOD = 1_000_000;

/** Which random numbers a tensor holds. pytorch.py has the same numbers. */
export const SEEDS = { input: 1, gradient: 2, residual: 3, parameters: 4 } as const;

const blocks = new Map<number, Float32Array>();

export function valuesOf(seed: number): Float32Array {
  const values = blocks.get(seed) ?? randomValues(PERIOD, seed);
  blocks.set(seed, values);
  return values;
}

/** On the device, by seed, type and device: to bring them there for each tensor takes longer than to measure with some. */
const starts = new Map<string, Tensor>();

function startOf(seed: number, device: Device, dtype: GpuDType): Tensor {
  const key = `${seed} ${dtype} ${device.name}`;
  const start = starts.get(key) ?? Tensor.from(valuesOf(seed), [PERIOD], { device, dtype });
  starts.set(key, start);
  return start;
}

/**
 * The tensor in which the values of a seed come again and again, in the order of memory. It is made on the device's own stream, and others
 * have to wait for it.
 */
export function repeated(seed: number, shape: readonly number[], device: Device, dtype: GpuDType): Tensor {
  const start = startOf(seed, device, dtype);
  const whole = Tensor.empty(shape, { device, dtype });
  const { pointer, byteLength } = whole;
  copyBytes(device, pointer, start.pointer, Math.min(start.byteLength, byteLength));
  for (let done = start.byteLength; done < byteLength; done *= 2) {
    copyBytes(device, pointer + BigInt(done), pointer, Math.min(done, byteLength - done));
  }
  return whole;
}

function copyBytes(device: Device, to: bigint, from: bigint, bytes: number): void {
  const native = nativeDevice(device);
  streamOf(device, undefined).copy(native.wrap(to, bytes), native.wrap(from, bytes), bytes);
}

/** Weight, bias, running mean and running variance of a problem. */
export interface Parameters {
  weight: Tensor;
  bias: Tensor;
  runningMean: Tensor;
  runningVar: Tensor;
}

export function parametersOf(problem: GpuProblem, device: Device): Parameters {
  const channels = channelsOf(problem);
  const part = (index: number) => valuesOf(SEEDS.parameters).subarray(index * channels, (index + 1) * channels);
  const vector = (values: Float32Array) => Tensor.from(values, [channels], { device });
  return {
    weight: vector(part(0)),
    bias: vector(part(1)),
    runningMean: vector(part(2)),
    runningVar: vector(part(3).map((value) => 1 + value * value)),
  };
}

/** What an operation on a problem reads. */
export interface Inputs extends Parameters {
  input: Tensor;
  gradient: Tensor;
  residual: Tensor | null;
}

export function inputsOf(problem: GpuProblem, withResidual: boolean, device: Device): Inputs {
  const tensor = (seed: number) => repeated(seed, memoryShape(problem), device, problem.dtype);
  return {
    ...parametersOf(problem, device),
    input: tensor(SEEDS.input),
    gradient: tensor(SEEDS.gradient),
    residual: withResidual ? tensor(SEEDS.residual) : null,
  };
}

/** Of what an operation gives, takes or keeps: all that is there. */
export function disposeAll(owners: object): void {
  for (const owner of Object.values(owners) as ({ dispose(): void } | null)[]) owner?.dispose();
}
