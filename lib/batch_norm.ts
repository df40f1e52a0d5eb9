import { inspect } from 'node:util';
import type { Activation } from './activation';
import { ACTIVATION_CODES } from './addon';
import type { BackendName } from './backend';
import { captureOf } from './capture';
import { checkDevice, type Device, streamOf } from './device';
import { checkParameterDType, type ParameterDType } from './dtype';
import { BatchNormError, expected } from './errors';
import { checkForward, checkGradient, checkRunningVariance, type ForwardOptions } from './operands';
import {
  backward,
  type Forward,
  type ForwardResult,
  type Gradients,
  inferenceForward,
  type RunningStatistics,
  trainingForward,
} from './operations';
import { checkBatch, checkSettings, type Problem, problemOf, type Settings } from './problem';
import { SavedPass } from './saved_pass';
import { COUNTER, checkState, type LoadableEntry, type StateDict } from './state_dict';
import type { Storage } from './storage';
import type { Stream } from './stream';
import { checkTensor, Tensor } from './tensor';
import { checkBoolean, checkFinite, checkInteger, checkOptions } from './validate';

/** What a layer is made with; all may be left out. */
export interface BatchNormOptions {
  /** Added to the variance, inside the root; 1e-5 when left out. */
  eps?: number | undefined;
  /** Weight of the new value in the running statistics, 0.1 when left out; null: cumulative average. */
  momentum?: number | null | undefined;
  /** Whether to scale (`weight`) and shift (`bias`); both when left out, one alone by its name. */
  affine?: boolean | 'weight' | 'bias' | undefined;
  /** Whether to keep running statistics; true when left out. Without them eval mode uses the batch's. */
  trackRunningStats?: boolean | undefined;
  /** Which variance the running variance collects: `'unbiased'`, as PyTorch, when left out; `'biased'` as ONNX, Keras and Flax. */
  runningVariance?: 'unbiased' | 'biased' | undefined;
  /** The channel dimension; 1 when left out. Negative counts from the end: −1 for channels last. */
  axis?: number | undefined;
  /** Applied to the normalized value; `'identity'` when left out. */
  activation?: Activation | undefined;
  /** Of parameters and statistics; float32 when left out. float64 takes inputs of float32 and float64. */
  dtype?: ParameterDType | undefined;
  /** A device or the name of one; `'auto'` when left out. */
  device?: Device | string | undefined;
  /** The library that computes; `'native'` when left out. */
  backend?: BackendName | undefined;
  /**
   * Whether each forward pass writes its output over its input and returns that tensor; false when left out. Backward then recovers x̂ from
   * the output, so that a training step holds one tensor of the input's size instead of two (Rota Bulò, Porzi & Kontschieder 2018,
   * arXiv:1712.02616).
   *
   * With `activation` `'identity'` or `'leakyRelu'`, without residual, and not by cuDNN.
   *
   * What is recovered carries the rounding of the output: x̂ is off by about u·|y|/|γ|, with y before the activation and u the unit roundoff of the
   * input's dtype (float32 6e-8, float16 5e-4, bfloat16 4e-3). A channel whose |γ| is small beside |β| so loses its x̂, and with it the
   * gradient of γ and a part of the input's. Where γ is 0, its gradient is NaN, while that of β is right, and the input's is 0, which is right too.
   */
  inPlace?: boolean | undefined;
}

const OPTIONS = [
  'eps',
  'momentum',
  'affine',
  'trackRunningStats',
  'runningVariance',
  'axis',
  'activation',
  'dtype',
  'device',
  'backend',
  'inPlace',
];
const FORWARD_OPTIONS = ['residual', 'out', 'stream', 'saveForBackward'];

/**
 * A batch normalization layer with the behaviour of PyTorch's `nn.BatchNorm1d/2d/3d`:
 * y = act(γ·(x − mean)/√(var + eps) + β [+ residual]), per channel (Ioffe & Szegedy 2015, arXiv:1502.03167).
 *
 * In training mode, where a layer starts, mean and biased variance are the batch's, and running averages of them are updated. In eval
 * mode the running statistics are used, and nothing changes. The layer owns its parameters and statistics.
 */
export class BatchNorm implements Disposable {
  /** C, the number of channels. */
  readonly numFeatures: number;
  /** Added to the variance, inside the root. */
  readonly eps: number;
  /** Weight of the new value in the running statistics; null: cumulative average. */
  readonly momentum: number | null;
  /** Which variance the running variance collects. */
  readonly runningVariance: 'unbiased' | 'biased';
  /** The channel dimension, as it was given. */
  readonly axis: number;
  /** Applied to the normalized value. */
  readonly activation: Activation;
  /** Of parameters and statistics. */
  readonly dtype: ParameterDType;
  /** Whether the output takes the input's place. */
  readonly inPlace: boolean;
  /** Where the parameters are, and the inputs must be. */
  readonly device: Device;
  /**
   * Scale γ, `[C]`, at first 1; null without. Change it by `write`. Like the other tensors of the layer it is disposed with the layer;
   * a layer one of whose tensors was disposed alone throws `ERR_DISPOSED` when it needs it.
   */
  readonly weight: Tensor | null;
  /** Shift β, `[C]`, at first 0; null without. */
  readonly bias: Tensor | null;
  /** Running mean, `[C]`, at first 0; null without tracking. */
  readonly runningMean: Tensor | null;
  /** Running variance, `[C]`, at first 1; null without tracking. */
  readonly runningVar: Tensor | null;
  readonly #settings: Settings;
  #training = true;
  #count = 0;
  #saved: SavedPass | undefined;
  #disposed = false;

  /**
   * @param numFeatures - C, the size of the inputs' channel dimension.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_DEVICE_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`, `ERR_ADDON`.
   */
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    checkOptions(options, OPTIONS);
    const { momentum = 0.1, affine = true, trackRunningStats = true, runningVariance = 'unbiased', dtype = 'float32' } = options;
    this.numFeatures = checkInteger(numFeatures, 'numFeatures', 1);
    this.momentum = momentum === null ? null : checkFinite(momentum, 'options.momentum');
    this.runningVariance = checkRunningVariance(runningVariance);
    this.dtype = checkParameterDType(dtype, 'options.dtype');
    const affineParts = checkAffine(affine);
    const tracked = checkBoolean(trackRunningStats, 'options.trackRunningStats');
    this.device = checkDevice(options.device, 'options.device');
    this.#settings = checkSettings(options, this.dtype, this.device);
    this.eps = this.#settings.eps;
    this.axis = this.#settings.axis;
    this.activation = options.activation ?? 'identity';
    this.inPlace = this.#settings.inPlace;
    const made: Tensor[] = [];
    const vectorOf = (value: number): Tensor => {
      const vector = this.#vectorOf(value);
      made.push(vector);
      return vector;
    };
    try {
      this.weight = affineParts.weight ? vectorOf(1) : null;
      this.bias = affineParts.bias ? vectorOf(0) : null;
      this.runningMean = tracked ? vectorOf(0) : null;
      this.runningVar = tracked ? vectorOf(1) : null;
    } catch (error) {
      for (const vector of made) vector.dispose(); // out of memory half way leaves nothing behind
      throw error;
    }
  }

  /** Whether the layer is in training mode. */
  get training(): boolean {
    return this.#training;
  }

  /** Number of training passes since the start or the last reset, those of launched graphs included; 0 without tracking. */
  get numBatchesTracked(): number {
    return this.#count;
  }

  /** Whether {@link BatchNorm.dispose} was called. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Enters training mode; with `false`, eval mode. @throws {BatchNormError} `ERR_INVALID_ARGUMENT` unless `mode` is a boolean. */
  train(mode = true): this {
    this.#training = checkBoolean(mode, 'mode');
    return this;
  }

  /** Enters eval mode. */
  eval(): this {
    return this.train(false);
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
   * `momentum: null` that is captured. The layer is then as it was before, but for running statistics where a GPU failed between two kernels.
   */
  forward(input: Tensor, options?: ForwardOptions): Tensor {
    this.#checkAlive();
    checkOptions(options, FORWARD_OPTIONS);
    checkTensor(input, 'input', this.device);
    const problem = this.#problemOf(input);
    const weight = this.#own(this.weight, 'weight');
    const bias = this.#own(this.bias, 'bias');
    const mean = this.#own(this.runningMean, 'runningMean');
    const variance = this.#own(this.runningVar, 'runningVar');
    const call = checkForward(problem, input, weight, bias, options, this.#training);
    if (!this.#training && mean !== null && variance !== null) {
      const result = inferenceForward(call, mean, variance);
      this.#save(call, result, mean, variance);
      return result.output;
    }
    checkBatch(problem);
    const running = this.#training && mean !== null && variance !== null ? this.#running(mean, variance) : null;
    const result = trainingForward(call, running);
    this.#save(call, result, null, null);
    if (running !== null && problem.outer * problem.inner > 0) this.#countBatch();
    return result.output;
  }

  /**
   * Gradients of the last forward pass, which must have been saved. Uses it up: a second backward needs another forward pass. After a
   * pass in eval mode with running statistics these count as constants.
   *
   * @param gradOutput - gradient of the loss with respect to the output; of the input's shape and dtype.
   * @throws {BatchNormError} `ERR_STATE` without a saved pass, or where what it saved was changed; and as {@link BatchNorm.forward}.
   */
  backward(gradOutput: Tensor, options?: BackwardOptions): Gradients {
    this.#checkAlive();
    checkOptions(options, ['stream']);
    const saved = this.#saved;
    if (saved === undefined) throw noSavedPass();
    const gradient = checkGradient(gradOutput, saved.call.problem);
    const stream = streamOf(this.device, options?.stream);
    saved.checkUnchanged();
    const gradients = backward(saved.call, gradient, saved.hasResidual, stream);
    this.#forget();
    return gradients;
  }

  /** Sets the running statistics and their counter back to the start; does nothing without tracking. @throws {BatchNormError} `ERR_DISPOSED`. */
  resetRunningStats(): void {
    this.#checkAlive();
    this.runningMean?.write(new Float32Array(this.numFeatures));
    this.runningVar?.write(new Float32Array(this.numFeatures).fill(1));
    this.#count = 0;
  }

  /**
   * Resolves to a copy of parameters and statistics as they are when the work queued so far is done, by PyTorch's names.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, by rejection.
   */
  async stateDict(): Promise<StateDict> {
    this.#checkAlive();
    const count = BigInt64Array.of(BigInt(this.#count));
    const tensors = this.#tensors();
    const values = await Promise.all(tensors.map(([, tensor]) => tensor.read()));
    const state: StateDict = {};
    for (const [i, [name]] of tensors.entries()) state[name] = { dtype: this.dtype, shape: [this.numFeatures], data: values[i]! };
    if (this.runningMean !== null) state[COUNTER] = { dtype: 'int64', shape: [], data: count };
    return state;
  }

  /**
   * Copies parameters and statistics from a state, as {@link BatchNorm.stateDict} gives it. All of it is checked before any of it is used.
   * A state without `num_batches_tracked` counts as 0.
   *
   * @param options - `strict`, true when left out: missing and unknown keys are errors; false: they are ignored.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_SHAPE`, `ERR_DTYPE`, `ERR_DISPOSED`.
   */
  loadStateDict(state: Readonly<Record<string, LoadableEntry>>, options?: LoadOptions): void {
    this.#checkAlive();
    checkOptions(options, ['strict']);
    const strict = options?.strict === undefined || checkBoolean(options.strict, 'options.strict');
    const tensors = this.#tensors();
    for (const [name, tensor] of tensors) checkTensor(tensor, name, this.device);
    const names = tensors.map(([name]) => name);
    const { values, count } = checkState(state, names, this.runningMean !== null, this.numFeatures, this.dtype, strict);
    for (const [name, tensor] of tensors) {
      const data = values.get(name);
      if (data !== undefined) tensor.write(data);
    }
    this.#count = count ?? this.#count;
  }

  /** Gives all memory of the layer back; safe while its work is queued. A second call does nothing. */
  dispose(): void {
    this.#disposed = true;
    this.#forget();
    for (const [, tensor] of this.#tensors()) tensor.dispose();
  }

  /** As {@link BatchNorm.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The options and the mode, on one line. */
  toString(): string {
    const { eps, momentum, axis, activation, dtype, device } = this;
    const affine = this.weight ? (this.bias ? true : `'weight'`) : this.bias ? `'bias'` : false;
    const tracking = this.runningMean !== null;
    const backend = this.#settings.backend.library === 'native' ? '' : `, backend: '${this.#settings.backend.library}'`;
    const inPlace = this.inPlace ? ', inPlace: true' : '';
    const mode = this.#disposed ? 'disposed' : this.#training ? 'training' : 'eval';
    return (
      `BatchNorm(${this.numFeatures}, { eps: ${eps}, momentum: ${momentum}, affine: ${affine}, trackRunningStats: ${tracking}, ` +
      `axis: ${axis}, activation: '${activation}', dtype: '${dtype}'${backend}${inPlace} }) on ${device.name}, ${mode}`
    );
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  #vectorOf(value: number): Tensor {
    return Tensor.full([this.numFeatures], value, { dtype: this.dtype, device: this.device });
  }

  #tensors(): [string, Tensor][] {
    const all = { weight: this.weight, bias: this.bias, running_mean: this.runningMean, running_var: this.runningVar };
    return Object.entries(all).filter((entry): entry is [string, Tensor] => entry[1] !== null);
  }

  #own(tensor: Tensor | null, name: string): Storage | null {
    return tensor && checkTensor(tensor, name, this.device);
  }

  #problemOf(input: Tensor): Problem {
    const problem = problemOf(this.#settings, input);
    if (problem.channels === this.numFeatures) return problem;
    throw expected(`${this.numFeatures} channels at axis ${this.axis}`, 'input', input, 'ERR_SHAPE');
  }

  #running(mean: Storage, variance: Storage): RunningStatistics {
    if (this.momentum === null && captureOf(this.device) !== undefined) throw cumulativeCapture();
    const momentum = this.momentum ?? 1 / (this.#count + 1);
    return { mean, variance, momentum, unbiased: this.runningVariance === 'unbiased' };
  }

  // What a graph repeats is counted when it is launched.
  #countBatch(): void {
    const count = () => {
      this.#count += 1;
    };
    const capture = captureOf(this.device);
    if (capture === undefined) count();
    else capture.atLaunch.push(count);
  }

  #save(
    { problem, input, residual, weight, bias, save }: Forward,
    made: ForwardResult,
    mean: Storage | null,
    variance: Storage | null,
  ): void {
    this.#forget();
    const { statistics, mask } = made;
    if (save) {
      const activated = problem.settings.activation !== ACTIVATION_CODES.identity;
      const needsResidual = activated && mask === null;
      const needsOutput = activated && problem.settings.backend.library === 'cudnn';
      const call = {
        problem,
        input,
        output: needsOutput ? checkTensor(made.output, 'output', this.device) : null,
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
      captureOf(this.device)?.atFailure.push(() => {
        if (this.#saved === saved) this.#forget();
      });
    }
    statistics?.release();
    mask?.release();
  }

  #forget(): void {
    this.#saved?.release();
    this.#saved = undefined;
  }

  #checkAlive(): void {
    if (this.#disposed) throw new BatchNormError('ERR_DISPOSED', 'Expected a BatchNorm that is not disposed but received a disposed one');
  }
}

/** Options of {@link BatchNorm.backward}. */
export interface BackwardOptions {
  /** The queue to run on; the device's own when left out. */
  stream?: Stream | undefined;
}

/** Options of {@link BatchNorm.loadStateDict}. */
export interface LoadOptions {
  /** Whether missing and unknown keys are errors; true when left out. */
  strict?: boolean | undefined;
}

function checkAffine(affine: unknown): { weight: boolean; bias: boolean } {
  if (affine === 'weight' || affine === 'bias') return { weight: affine === 'weight', bias: affine === 'bias' };
  if (typeof affine === 'boolean') return { weight: affine, bias: affine };
  throw expected(`a boolean, 'weight' or 'bias'`, 'options.affine', affine);
}

function cumulativeCapture(): BatchNormError {
  return new BatchNormError(
    'ERR_STATE',
    'Expected a momentum other than null for a training pass in a captured graph: the weight of a cumulative average changes from launch ' +
      'to launch, and a graph repeats what was captured',
  );
}

function noSavedPass(): BatchNormError {
  return new BatchNormError(
    'ERR_STATE',
    'Expected a forward pass saved for backward but there is none: each backward uses up one forward pass, which must be in training ' +
      'mode or be given saveForBackward: true',
  );
}
