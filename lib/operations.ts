/**
 * The three operations on checked arguments: they allocate what is new, queue the native call and count the writes. The layer and
 * the functional form are two ways to say their arguments.
 */

import { DTYPE_CODES, type NativeBuffer, type NativeStream } from './addon';
import { countWrite } from './capture';
import type { Device } from './device';
import { bytesPerElement } from './dtype';
import type { Problem } from './problem';
import { correcting } from './renorm';
import type { Storage } from './storage';
import { allocate, makeTensor, type Tensor } from './tensor';
import { maskBytes, statisticsBytes, virtualBatches } from './virtual_batches';

/** Arguments of a forward pass. */
export interface Forward {
  readonly problem: Problem;
  readonly stream: NativeStream;
  readonly input: Storage;
  readonly residual: Storage | null;
  readonly weight: Storage | null;
  readonly bias: Storage | null;
  /** The caller's tensor to write into, if any, and its storage. */
  readonly out: Tensor | null;
  readonly outStorage: Storage | null;
  /** Whether backward will follow. */
  readonly save: boolean;
}

/** Running statistics for a training pass to update. */
export interface RunningUpdate {
  readonly mean: Storage;
  readonly variance: Storage;
  /** Weight of the new value; null: of a cumulative average. */
  readonly momentum: number | null;
  /** Batches in them so far; for the cumulative average. */
  readonly batches: number;
  readonly unbiased: boolean;
}

/** What a forward pass made. The caller owns all of it. */
export interface ForwardResult {
  readonly output: Tensor;
  /** [parts, statisticsRows, channels]. Null where the statistics were given. */
  readonly statistics: Storage | null;
  /** Stands for the residual in backward; null where there is none to stand for, or the backend wants the residual itself. cuDNN's stands for more. */
  readonly mask: Storage | null;
}

/** Arguments of a backward pass: those of the forward pass and what it made. */
export interface Backward {
  readonly problem: Problem;
  /** The output where that took its place. */
  readonly input: Storage;
  /** Of the forward pass; null where the backend does not read it. */
  readonly output: Storage | null;
  readonly residual: Storage | null;
  readonly mask: Storage | null;
  /** Of the batch; null where mean and variance were given and count as constants. */
  readonly statistics: Storage | null;
  readonly mean: Storage | null;
  readonly variance: Storage | null;
  readonly weight: Storage | null;
  readonly bias: Storage | null;
}

/** Gradients of a loss with respect to what went into a forward pass. New tensors; the caller disposes them. */
export interface Gradients {
  /** Of the shape and dtype of the input. */
  readonly input: Tensor;
  /** `[C]`; null where there was no weight. */
  readonly weight: Tensor | null;
  /** `[C]`; null where there was no bias. */
  readonly bias: Tensor | null;
  /** Of the shape and dtype of the residual; absent where there was none. */
  readonly residual?: Tensor;
}

const NOT_TRACKED = { mean: null, variance: null, momentum: 0, batches: 0, unbiased: false };

export function trainingForward(call: Forward, running: RunningUpdate | null): ForwardResult {
  const { problem, stream, input, residual, weight, bias } = call;
  const { settings, channels, inner } = problem;
  const { mean, variance, momentum, batches, unbiased } = running ?? NOT_TRACKED;
  const memory = new Claim(stream);
  try {
    const output = call.outStorage ?? memory.allocate(problem, dataBytes(problem));
    const statistics = memory.allocate(problem, statisticsBytes(problem));
    const mask = allocateMask(memory, call);
    for (const { index, outer, part } of virtualBatches(problem, residual !== null)) {
      stream.trainingForward(
        settings.backend.native,
        outer,
        channels,
        inner,
        DTYPE_CODES[problem.dtype],
        DTYPE_CODES[settings.dtype],
        settings.activation,
        settings.eps,
        input.native,
        native(residual),
        native(weight),
        native(bias),
        output.native,
        statistics.native,
        native(mask),
        native(mean),
        native(variance),
        momentum ?? 1 / (batches + index + 1),
        unbiased,
        correcting(settings.renorm),
        part,
      );
      if (index === 0) countWrites(settings.device, [call.outStorage, mean, variance]); // those of later parts may fail
    }
    return { output: call.out ?? dataTensor(problem, output), statistics, mask };
  } catch (error) {
    memory.release();
    throw error;
  }
}

export function inferenceForward(call: Forward, mean: Storage, variance: Storage): ForwardResult {
  const { problem, stream, input, residual, weight, bias } = call;
  const { settings, outer, channels, inner } = problem;
  const memory = new Claim(stream);
  try {
    const output = call.outStorage ?? memory.allocate(problem, dataBytes(problem));
    const mask = allocateMask(memory, call);
    stream.inferenceForward(
      settings.backend.native,
      outer,
      channels,
      inner,
      DTYPE_CODES[problem.dtype],
      DTYPE_CODES[settings.dtype],
      settings.activation,
      settings.eps,
      input.native,
      native(residual),
      mean.native,
      variance.native,
      native(weight),
      native(bias),
      output.native,
      native(mask),
    );
    countWrites(settings.device, [call.outStorage]);
    return { output: call.out ?? dataTensor(problem, output), statistics: null, mask };
  } catch (error) {
    memory.release();
    throw error;
  }
}

export function backward(call: Backward, gradOutput: Storage, hasResidual: boolean, stream: NativeStream): Gradients {
  const { problem, weight, bias } = call;
  const { settings, channels, inner } = problem;
  const memory = new Claim(stream);
  try {
    const parameterBytes = channels * bytesPerElement(settings.dtype);
    const gradInput = memory.allocate(problem, dataBytes(problem));
    const gradWeight = weight && memory.allocate(problem, parameterBytes);
    const gradBias = bias && memory.allocate(problem, parameterBytes);
    const gradResidual = hasResidual ? memory.allocate(problem, dataBytes(problem)) : null;
    for (const { outer, part } of virtualBatches(problem, hasResidual)) {
      stream.backward(
        settings.backend.native,
        outer,
        channels,
        inner,
        DTYPE_CODES[problem.dtype],
        DTYPE_CODES[settings.dtype],
        settings.activation,
        settings.eps,
        gradOutput.native,
        call.input.native,
        native(call.output),
        native(call.residual),
        native(call.mask),
        native(call.statistics),
        native(call.mean),
        native(call.variance),
        native(weight),
        native(bias),
        gradInput.native,
        native(gradWeight),
        native(gradBias),
        native(gradResidual),
        settings.inPlace,
        correcting(settings.renorm),
        part,
      );
    }
    return {
      input: dataTensor(problem, gradInput),
      weight: gradWeight && parameterTensor(problem, gradWeight),
      bias: gradBias && parameterTensor(problem, gradBias),
      ...(gradResidual && { residual: dataTensor(problem, gradResidual) }),
    };
  } catch (error) {
    memory.release();
    throw error;
  }
}

/** Memory taken for one call, given back together where the call fails. */
class Claim {
  readonly #stream: NativeStream;
  readonly #storages: Storage[] = [];

  constructor(stream: NativeStream) {
    this.#stream = stream;
  }

  allocate(problem: Problem, byteLength: number): Storage {
    const storage = allocate(problem.settings.device, byteLength, this.#stream);
    this.#storages.push(storage);
    return storage;
  }

  release(): void {
    for (const storage of this.#storages) storage.release();
  }
}

function allocateMask(memory: Claim, { problem, residual, save }: Forward): Storage | null {
  const masked = save && (residual !== null || problem.settings.backend.library === 'cudnn');
  const bytes = masked ? maskBytes(problem, residual !== null) : 0;
  return bytes > 0 ? memory.allocate(problem, bytes) : null;
}

function countWrites(device: Device, written: readonly (Storage | null)[]): void {
  for (const storage of written) if (storage !== null) countWrite(device, storage);
}

function dataBytes({ outer, channels, inner, dtype }: Problem): number {
  return outer * channels * inner * bytesPerElement(dtype);
}

function dataTensor({ shape, dtype, settings }: Problem, storage: Storage): Tensor {
  return makeTensor(storage, shape, dtype, settings.device);
}

function parameterTensor({ channels, settings }: Problem, storage: Storage): Tensor {
  return makeTensor(storage, Object.freeze([channels]), settings.dtype, settings.device);
}

function native(storage: Storage | null): NativeBuffer | null {
  return storage === null ? null : storage.native;
}
