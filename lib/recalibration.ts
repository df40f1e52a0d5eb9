import { ACTIVATION_CODES } from './addon';
import { checkBackend } from './backend';
import { streamOf } from './device';
import { BatchNormError, expected } from './errors';
import { trainingForward } from './operations';
import type { Problem, Settings } from './problem';
import type { Stream } from './stream';
import { checkTensor, isTensor, makeTensor, type Tensor } from './tensor';
import { statisticsRows } from './virtual_batches';

/** Options of {@link BatchNorm.recalibrate}. */
export interface RecalibrateOptions {
  /** The queue to run on; the device's own when left out. */
  stream?: Stream | undefined;
}

/** The settings to measure a batch with: only its statistics matter. */
export function measuring(settings: Settings): Settings {
  const backend = checkBackend('native', 'backend', settings.device);
  return { ...settings, activation: ACTIVATION_CODES.identity, backend, inPlace: false, renorm: null, virtualBatchSize: null };
}

export function checkBatches(value: unknown): Iterable<unknown> | AsyncIterable<unknown> {
  const iterable = typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value);
  if (iterable) return value as Iterable<unknown> | AsyncIterable<unknown>;
  throw expected(isTensor(value) ? 'an iterable of tensors, such as [tensor],' : 'an iterable of tensors', 'batches', value);
}

/** Mean and variance of many batches as if they were one, per channel, in double. */
export class PooledMoments {
  /** Those that were not empty. */
  batches = 0;
  #count = 0;
  readonly #mean: Float64Array;
  readonly #m2: Float64Array;

  constructor(channels: number) {
    this.#mean = new Float64Array(channels);
    this.#m2 = new Float64Array(channels);
  }

  /** Measures a batch and merges what it finds. Settings of `problem` are those of {@link measuring}. */
  async add(problem: Problem, batch: Tensor, stream: Stream | undefined): Promise<void> {
    const count = problem.outer * problem.inner;
    if (count === 0) return;
    const statistics = await measure(problem, batch, stream);
    const { channels } = problem;
    const before = this.#count;
    const weight = count / (before + count);
    for (let c = 0; c < channels; ++c) {
      const delta = statistics[c]! - this.#mean[c]! + statistics[channels + c]!;
      this.#mean[c]! += delta * weight;
      this.#m2[c]! += statistics[2 * channels + c]! * count + delta * delta * before * weight;
    }
    this.#count += count;
    this.batches += 1;
  }

  /** The mean, `[C]`. */
  mean(): Float64Array {
    if (this.#count > 0) return this.#mean;
    throw new BatchNormError('ERR_INVALID_ARGUMENT', 'Expected at least one batch that is not empty for batches but received none');
  }

  /** The variance, `[C]`. */
  variance(unbiased: boolean): Float64Array {
    if (this.#count === 1) {
      throw new BatchNormError('ERR_SHAPE', 'Expected more than 1 value per channel in all batches together but received 1');
    }
    const values = unbiased ? this.#count - 1 : this.#count;
    return this.#m2.map((m2) => m2 / values);
  }
}

// [3, channels]: mean, what rounding the mean left over, biased variance.
async function measure(problem: Problem, batch: Tensor, stream: Stream | undefined): Promise<Float32Array | Float64Array> {
  const { device, dtype } = problem.settings;
  const input = checkTensor(batch, 'batches', device);
  const nothing = { residual: null, weight: null, bias: null, out: null, outStorage: null, save: false };
  const { output, statistics } = trainingForward({ problem, stream: streamOf(device, stream), input, ...nothing }, null);
  output.dispose();
  const measured = makeTensor(statistics!, [statisticsRows(problem), problem.channels], dtype, device);
  try {
    return await measured.read();
  } finally {
    measured.dispose();
  }
}
