import { captureOf } from './capture';
import type { Device } from './device';
import type { ParameterDType } from './dtype';
import { BatchNormError } from './errors';
import type { RunningUpdate } from './operations';
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

  /** What a training pass does to them. */
  update(momentum: number | null, unbiased: boolean): RunningUpdate {
    const { device } = this.mean;
    if (momentum === null && captureOf(device) !== undefined) throw cumulativeCapture();
    const mean = checkTensor(this.mean, 'runningMean', device);
    const variance = checkTensor(this.variance, 'runningVar', device);
    return { mean, variance, momentum, batches: this.batches, unbiased };
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

  reset(): void {
    const channels = this.mean.size;
    this.mean.write(new Float32Array(channels));
    this.variance.write(new Float32Array(channels).fill(1));
    this.batches = 0;
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
