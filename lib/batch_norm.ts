import { Cell } from './cell';
import { type BackwardOptions, type BatchNormOptions, Layer, type LoadOptions } from './layer';
import type { ForwardOptions } from './operands';
import type { Gradients } from './operations';
import type { RecalibrateOptions } from './recalibration';
import { COUNTER, checkState, type LoadableEntry, type StateDict } from './state_dict';
import { checkTensor, type Tensor } from './tensor';
import { checkBoolean, checkOptions } from './validate';

/**
 * A batch normalization layer with the behaviour of PyTorch's `nn.BatchNorm1d/2d/3d`:
 * y = act(γ·(x − mean)/√(var + eps) + β [+ residual]), per channel (Ioffe & Szegedy 2015, arXiv:1502.03167).
 *
 * In training mode, where a layer starts, mean and biased variance are the batch's, and running averages of them are updated. In eval
 * mode the running statistics are used, and nothing changes. The layer owns its parameters and statistics.
 */
export class BatchNorm extends Layer {
  /** Running mean, `[C]`, at first 0; null without tracking. */
  readonly runningMean: Tensor | null;
  /** Running variance, `[C]`, at first 1; null without tracking. */
  readonly runningVar: Tensor | null;
  readonly #cell: Cell;

  /**
   * @param numFeatures - C, the size of the inputs' channel dimension.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_DEVICE_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`, `ERR_ADDON`.
   */
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, options, 1, []);
    this.#cell = new Cell(this.running[0] ?? null);
    this.runningMean = this.#cell.running?.mean ?? null;
    this.runningVar = this.#cell.running?.variance ?? null;
  }

  /** Number of batches in the running statistics since the start or the last reset, those of launched graphs included; 0 without tracking. */
  get numBatchesTracked(): number {
    return this.#cell.running?.batches ?? 0;
  }

  /**
   * Normalizes `input`: queued at once, done in the order of the stream. What {@link BatchNorm.backward} needs is kept until then, until
   * the next forward pass or until disposal, whichever is first: by default in training, and not in eval. The input may be disposed in
   * between, but not changed; with {@link BatchNormOptions.inPlace} it becomes the output, and the same goes for that.
   *
   * @param input - rank 2 or more with C channels at the layer's axis. float32, float64, float16 or bfloat16; the last two not with
   * parameters of float64.
   * @returns a new tensor of the input's shape and dtype, or `options.out`; the input itself with {@link BatchNormOptions.inPlace}.
   * @throws {BatchNormError} `ERR_SHAPE` where shapes do not fit or a training batch has one value per channel, `ERR_DTYPE`,
   * `ERR_INVALID_ARGUMENT`, `ERR_DISPOSED`, `ERR_DEVICE_MISMATCH`, `ERR_OUT_OF_MEMORY`, `ERR_CUDA`, `ERR_STATE` in a training pass with
   * `momentum: null` that is captured. The layer is then as it was before, but for running statistics, and what is written in place
   * or to `options.out`, where a GPU failed between two kernels or virtual batches.
   */
  forward(input: Tensor, options?: ForwardOptions): Tensor {
    this.checkAlive();
    return this.forwardIn(this.#cell, input, options);
  }

  /**
   * Gradients of the last forward pass, which must have been saved. Uses it up: a second backward needs another forward pass. After a
   * pass in eval mode with running statistics these count as constants.
   *
   * @param gradOutput - gradient of the loss with respect to the output; of the input's shape and dtype.
   * @throws {BatchNormError} `ERR_STATE` without a saved pass, or where what it saved was changed; and as {@link BatchNorm.forward}.
   */
  backward(gradOutput: Tensor, options?: BackwardOptions): Gradients {
    this.checkAlive();
    return this.backwardIn(this.#cell, gradOutput, options);
  }

  /**
   * Replaces the running statistics by the mean and variance of all values of all `batches`, as if they were one batch: moving averages lag behind
   * the weights of a network in training, and each batch's variance leaves out how means differ from batch to batch. Counts and moments
   * of the batches are merged in double precision (Chan, Golub & LeVeque 1979). The variance is the one that `runningVariance` names, and
   * {@link BatchNorm.numBatchesTracked} is then the number of batches. Parameters and mode stay, and what is saved for backward; but
   * backward refuses a pass in eval mode, to which the old running statistics were given.
   *
   * Where several layers follow each other, go from the first to the last: what reaches a layer depends on those before it.
   *
   * @param batches - inputs of this layer, as {@link BatchNorm.forward} takes them, of any sizes. They remain the caller's; each is read before the next is asked for.
   * @throws {BatchNormError} by rejection, and then nothing has changed: `ERR_STATE` without running statistics and while a graph is captured on the device, `ERR_INVALID_ARGUMENT` where there are no values at all,
   * `ERR_SHAPE` where there is one value per channel in all; and as {@link BatchNorm.forward}. What `batches` throws is thrown on.
   */
  async recalibrate(batches: Iterable<Tensor> | AsyncIterable<Tensor>, options?: RecalibrateOptions): Promise<void> {
    this.checkAlive();
    await this.recalibrateIn(this.#cell.running, batches, options);
  }

  /**
   * Resolves to a copy of parameters and statistics as they are when the work queued so far is done, by PyTorch's names.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, by rejection.
   */
  async stateDict(): Promise<StateDict> {
    this.checkAlive();
    const count = BigInt64Array.of(BigInt(this.numBatchesTracked));
    const tensors = Object.entries(this.#tensors());
    const values = await Promise.all(tensors.map(([, tensor]) => tensor.read()));
    const state: StateDict = {};
    for (const [i, [name]] of tensors.entries()) state[name] = { dtype: this.dtype, shape: [this.numFeatures], data: values[i]! };
    if (this.#cell.running !== null) state[COUNTER] = { dtype: 'int64', shape: [], data: count };
    return state;
  }

  /**
   * Copies parameters and statistics from a state, as {@link BatchNorm.stateDict} gives it. All of it is checked before any of it is used.
   * A state with running statistics but without `num_batches_tracked` counts as 0.
   *
   * @param options - `strict`, true when left out: missing and unknown keys are errors; false: they are ignored.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_SHAPE`, `ERR_DTYPE`, `ERR_DISPOSED`.
   */
  loadStateDict(state: Readonly<Record<string, LoadableEntry>>, options?: LoadOptions): void {
    this.checkAlive();
    checkOptions(options, ['strict']);
    const strict = options?.strict === undefined || checkBoolean(options.strict, 'options.strict');
    const tensors = this.#tensors();
    for (const [name, tensor] of Object.entries(tensors)) checkTensor(tensor, name, this.device);
    const { running } = this.#cell;
    const { values, counts } = checkState(state, Object.keys(tensors), running !== null, this.numFeatures, this.dtype, strict);
    for (const [name, data] of values) tensors[name]!.write(data);
    if (running !== null && counts !== undefined) running.batches = counts[0]!;
  }

  /** @internal */
  protected override cells(): Iterable<Cell> {
    return [this.#cell];
  }

  #tensors(): Record<string, Tensor> {
    const all = { weight: this.weight, bias: this.bias, running_mean: this.runningMean, running_var: this.runningVar };
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, Tensor] => entry[1] !== null));
  }
}
