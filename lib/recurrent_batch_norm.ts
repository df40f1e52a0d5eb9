import { Cell } from './cell';
import { expected } from './errors';
import { type BackwardOptions, type BatchNormOptions, Layer, type LoadOptions } from './layer';
import type { ForwardOptions } from './operands';
import type { Gradients } from './operations';
import type { RecalibrateOptions } from './recalibration';
import type { RunningStatistics } from './running_statistics';
import { COUNTER, checkStateOf, type LoadableEntry, type StateDict } from './state_dict';
import { checkTensor, type Tensor } from './tensor';
import { checkBoolean, checkInteger, checkOptions } from './validate';

/** Each of its steps has two tensors from the start: a mistaken number must not exhaust the process. */
const LONGEST_HORIZON = 2 ** 16;

/** What a {@link RecurrentBatchNorm} is made with. */
export interface RecurrentBatchNormOptions extends BatchNormOptions {
  /** T, the number of time steps that have running statistics of their own, at most 65536; later steps share those of the last one. */
  horizon: number;
}

/**
 * Batch normalization in a recurrent network: each time step has running statistics of its own, up to a horizon, while scale and shift are the same
 * at all steps (Cooijmans, Ballas, Laurent, Gülçehre & Courville 2017, arXiv:1603.09025). The activations of the first steps are
 * distributed otherwise than those of later ones, and one set of statistics would fit none of them in eval mode.
 *
 * Each step behaves as a {@link BatchNorm} with the same weight and bias. Backward passes may come in any order; each step's gradients of weight and
 * bias are its share, to be added up over the steps.
 */
export class RecurrentBatchNorm extends Layer {
  /** T, the number of time steps that have running statistics of their own. */
  readonly horizon: number;
  /** Running means, `[C]` for each step before the horizon; null without tracking. */
  readonly runningMean: readonly Tensor[] | null;
  /** Running variances, `[C]` for each step before the horizon; null without tracking. */
  readonly runningVar: readonly Tensor[] | null;
  readonly #cells = new Map<number, Cell>();

  /**
   * @param numFeatures - C, the size of the inputs' channel dimension.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_DEVICE_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`, `ERR_ADDON`.
   */
  constructor(numFeatures: number, options: RecurrentBatchNormOptions) {
    const horizon = checkHorizon(options);
    super(numFeatures, options, horizon, ['horizon']);
    this.horizon = horizon;
    const tracked = this.running.length > 0;
    this.runningMean = tracked ? Object.freeze(this.running.map(({ mean }) => mean)) : null;
    this.runningVar = tracked ? Object.freeze(this.running.map(({ variance }) => variance)) : null;
  }

  /** Number of batches in each step's running statistics; 0 without tracking. */
  get numBatchesTracked(): readonly number[] {
    return Array.from({ length: this.horizon }, (_, step) => this.running[step]?.batches ?? 0);
  }

  /**
   * Normalizes the input of one time step, as {@link BatchNorm.forward} does. What {@link RecurrentBatchNorm.backward} needs of it is kept
   * until then, until the next forward pass of the same step, or until disposal.
   *
   * @param input - as {@link BatchNorm.forward} takes it.
   * @param step - the time step, from 0 on.
   * @throws {BatchNormError} as {@link BatchNorm.forward}.
   */
  forward(input: Tensor, step: number, options?: ForwardOptions): Tensor {
    this.checkAlive();
    const cell = this.#cellOf(step);
    const output = this.forwardIn(cell, input, options);
    // Steps may go on for ever: only those with a saved pass are kept.
    if (cell.holdsPass) this.#cells.set(step, cell);
    else this.#cells.delete(step);
    return output;
  }

  /**
   * Gradients of the last forward pass of one time step, which must have been saved, and is used up.
   *
   * @param gradOutput - gradient of the loss with respect to that output.
   * @param step - the time step.
   * @returns `weight` and `bias`: what this step contributes.
   * @throws {BatchNormError} as {@link BatchNorm.backward}.
   */
  backward(gradOutput: Tensor, step: number, options?: BackwardOptions): Gradients {
    this.checkAlive();
    const gradients = this.backwardIn(this.#cellOf(step), gradOutput, options);
    this.#cells.delete(step);
    return gradients;
  }

  /**
   * Replaces the running statistics of one time step by the mean and variance of all values of all `batches`, as {@link BatchNorm.recalibrate} does.
   * What reaches a step depends on those before it, so the first goes first.
   *
   * @param batches - inputs of that step.
   * @param step - the time step; those from the horizon on are one.
   * @throws {BatchNormError} by rejection, as {@link BatchNorm.recalibrate}.
   */
  async recalibrate(batches: Iterable<Tensor> | AsyncIterable<Tensor>, step: number, options?: RecalibrateOptions): Promise<void> {
    this.checkAlive();
    await this.recalibrateIn(this.#runningAt(checkInteger(step, 'step', 0)), batches, options);
  }

  /**
   * Resolves to a copy of parameters and statistics as they are when the work queued so far is done: `weight` and `bias`, `[C]`; `running_mean`
   * and `running_var`, `[T, C]`; `num_batches_tracked`, `[T]`.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, by rejection.
   */
  async stateDict(): Promise<StateDict> {
    this.checkAlive();
    const counts = BigInt64Array.from(this.numBatchesTracked, BigInt);
    const read = await Promise.all(
      Object.entries(this.#tensors()).map(async ([name, rows]) => [name, await Promise.all(rows.map((row) => row.read()))] as const),
    );
    const state: StateDict = {};
    for (const [name, rows] of read) state[name] = { dtype: this.dtype, shape: [...this.#shapeOf(name)], data: this.#joined(rows) };
    if (this.running.length > 0) state[COUNTER] = { dtype: 'int64', shape: [this.horizon], data: counts };
    return state;
  }

  /**
   * Copies parameters and statistics from a state, as {@link RecurrentBatchNorm.stateDict} gives it. All of it is checked before any of it is used.
   *
   * @param options - `strict`, true when left out: missing and unknown keys are errors; false: they are ignored.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_SHAPE`, `ERR_DTYPE`, `ERR_DISPOSED`.
   */
  loadStateDict(state: Readonly<Record<string, LoadableEntry>>, options?: LoadOptions): void {
    this.checkAlive();
    checkOptions(options, ['strict']);
    const strict = options?.strict === undefined || checkBoolean(options.strict, 'options.strict');
    const tensors = this.#tensors();
    for (const [name, rows] of Object.entries(tensors)) for (const row of rows) checkTensor(row, name, this.device);
    const shapes = Object.fromEntries(Object.keys(tensors).map((name) => [name, this.#shapeOf(name)]));
    const counter = this.running.length === 0 ? null : [this.horizon];
    const { values, counts } = checkStateOf(state, shapes, counter, this.dtype, strict);
    for (const [name, data] of values) {
      const channels = this.numFeatures;
      for (const [i, row] of tensors[name]!.entries()) row.write(data.subarray(i * channels, (i + 1) * channels));
    }
    for (const [step, count] of counts?.entries() ?? []) this.running[step]!.batches = count;
  }

  /** @internal */
  protected override cells(): Iterable<Cell> {
    return this.#cells.values();
  }

  /** @internal */
  protected override ownOptions(): string {
    return `, horizon: ${this.horizon}`;
  }

  #cellOf(step: number): Cell {
    return this.#cells.get(checkInteger(step, 'step', 0)) ?? new Cell(this.#runningAt(step));
  }

  #runningAt(step: number): RunningStatistics | null {
    return this.running[Math.min(step, this.horizon - 1)] ?? null;
  }

  // By the names of a state, as rows of one tensor.
  #tensors(): Record<string, readonly Tensor[]> {
    const all = {
      weight: this.weight && [this.weight],
      bias: this.bias && [this.bias],
      running_mean: this.runningMean,
      running_var: this.runningVar,
    };
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, readonly Tensor[]] => entry[1] !== null));
  }

  #shapeOf(name: string): readonly number[] {
    return name.startsWith('running') ? [this.horizon, this.numFeatures] : [this.numFeatures];
  }

  #joined(rows: readonly (Float32Array | Float64Array)[]): Float32Array | Float64Array {
    const size = rows.length * this.numFeatures;
    const joined = this.dtype === 'float64' ? new Float64Array(size) : new Float32Array(size);
    for (const [i, row] of rows.entries()) joined.set(row, i * this.numFeatures);
    return joined;
  }
}

// Before the layer is made, whose tensors are as many.
function checkHorizon(options: unknown): number {
  if (typeof options !== 'object' || options === null) throw expected('an object with a horizon', 'options', options);
  const horizon = checkInteger((options as { horizon?: unknown }).horizon, 'options.horizon', 1);
  if (horizon <= LONGEST_HORIZON) return horizon;
  throw expected(`at most ${LONGEST_HORIZON} time steps`, 'options.horizon', horizon);
}
