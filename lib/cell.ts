import { ACTIVATION_CODES, type NativeStream } from './addon';
import { captureOf } from './capture';
import { BatchNormError } from './errors';
import { checkGradient } from './operands';
import { backward, type Forward, type ForwardResult, type Gradients, inferenceForward, trainingForward } from './operations';
import { checkBatch } from './problem';
import type { RunningStatistics } from './running_statistics';
import { SavedPass } from './saved_pass';
import type { Storage } from './storage';
import { checkTensor, type Tensor } from './tensor';

/** A place in a network where a batch is normalized: its running statistics, and the forward pass that is saved for backward. */
export class Cell {
  readonly running: RunningStatistics | null;
  #saved: SavedPass | undefined;

  /** @param running - null: eval mode too uses the batch's statistics. */
  constructor(running: RunningStatistics | null) {
    this.running = running;
  }

  /** A pass in training mode, or in eval mode: with running statistics where there are any. */
  forward(call: Forward, training: boolean, momentum: number | null, unbiased: boolean): Tensor {
    const { running } = this;
    if (!training && running !== null) return this.#infer(call, running);
    const { problem } = call;
    checkBatch(problem);
    const result = trainingForward(call, running === null ? null : running.update(momentum, unbiased));
    this.#save(call, result, null, null);
    if (problem.outer * problem.inner > 0) running?.countBatches(problem.parts);
    return result.output;
  }

  backward(gradOutput: unknown, streamOf: () => NativeStream): Gradients {
    const saved = this.#saved;
    if (saved === undefined) throw noSavedPass();
    const gradient = checkGradient(gradOutput, saved.call.problem);
    const stream = streamOf();
    saved.checkUnchanged();
    const gradients = backward(saved.call, gradient, saved.hasResidual, stream);
    this.forget();
    return gradients;
  }

  /** Whether a pass is saved for backward. */
  get holdsPass(): boolean {
    return this.#saved !== undefined;
  }

  /** Lets go of what was saved for backward. */
  forget(): void {
    this.#saved?.release();
    this.#saved = undefined;
  }

  #infer(call: Forward, running: RunningStatistics): Tensor {
    const { mean, variance } = running.check();
    const result = inferenceForward(call, mean, variance);
    this.#save(call, result, mean, variance);
    return result.output;
  }

  #save(
    { problem, input, residual, weight, bias, save }: Forward,
    made: ForwardResult,
    mean: Storage | null,
    variance: Storage | null,
  ): void {
    this.forget();
    const { statistics, mask } = made;
    if (save) {
      const { activation, backend, device } = problem.settings;
      const activated = activation !== ACTIVATION_CODES.identity;
      const needsResidual = activated && mask === null;
      const needsOutput = activated && backend.library === 'cudnn';
      const call = {
        problem,
        input,
        output: needsOutput ? checkTensor(made.output, 'output', device) : null,
        residual: needsResidual ? residual : null,
        mask,
        statistics,
        mean,
        variance,
        weight,
        bias,
      };
      const saved = new SavedPass(call, residual !== null);
      this.#saved = saved;
      captureOf(device)?.atFailure.push(() => {
        if (this.#saved === saved) this.forget();
      });
    }
    statistics?.release();
    mask?.release();
  }
}

function noSavedPass(): BatchNormError {
  return new BatchNormError(
    'ERR_STATE',
    'Expected a forward pass saved for backward but there is none: each backward uses up one forward pass, which must be in training ' +
      'mode or be given saveForBackward: true',
  );
}
