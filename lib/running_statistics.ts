import { captureOf } from './capture';
import type { Device } from './device';
import type { NumericArray, ParameterDType } from './dtype';
import { BatchNormError } from './errors';
import type { RunningUpdate } from './operations';
import type { Storage } from './storage';
import { checkTensor, Tensor } from './tensor';

/** Running mean and variance of a layer, or of one time step of it, and the number of batches that are in them. */
export class RunningStatistics {
  /** `[C]`, at first 0. */
  readonly mean: Tensor;
  /** `[C]`, at first 1. */
  readonly variance: Tensor;
  batches = 0;

  constructor(channels: number, dtype: ParameterDType, device: Device) {
    this.mean = Tensor.zeros([channels], { dtype, device });
    try {
      this.variance = Tensor.full([channels], 1, { dtype, device });
    } catch (error) {
      this.mean.dispose();
      throw error;
    }
  }

  /** Their storages. @throws {BatchNormError} `ERR_DISPOSED` where one of them was disposed alone. */
  check(): { mean: Storage; variance: Storage } {
    const { device } = this.mean;
    return { mean: checkTensor(this.mean, 'runningMean', device), variance: checkTensor(this.variance, 'runningVar', device) };
  }

  /** What a training pass does to them. */
  update(momentum: number | null, unbiased: boolean): RunningUpdate {
    const { device } = this.mean;
    if (momentum === null && captureOf(device) !== undefined) throw cumulativeCapture();
    return { ...this.check(), momentum, batches: this.batches, unbiased };
  }

  /** What a graph repeats is counted when it is launched. */
  countBatches(batches: number): void {
    const count = () => {
      this.batches += batches;
    };
    const capture = captureOf(this.mean.device);
    if (capture === undefined) count();
    else capture.atLaunch.push(count);
  }

  /** Both or, where one of the tensors was disposed, none. */
  replace(mean: NumericArray, variance: NumericArray, batches: number): void {
    this.check();
    this.mean.write(mean);
    this.variance.write(variance);
    this.batches = batches;
  }

  reset(): void {
    const channels = this.mean.size;
    this.replace(new Float32Array(channels), new Float32Array(channels).fill(1), 0);
  }

  dispose(): void {
    this.mean.dispose();
    this.variance.dispose();
  }
}

function cumulativeCapture(): BatchNormError {
  return new BatchNormError(
    'ERR_STATE',
    'Expected a momentum other than null for a training pass in a captured graph: the weight of a cumulative average changes from launch ' +
      'to launch, and a graph repeats what was captured',
  );
}
