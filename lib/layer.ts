import { inspect } from 'node:util';
import type { Activation } from './activation';
import type { BackendName } from './backend';
import { refuseCapture } from './capture';
import type { Cell } from './cell';
import { checkDevice, type Device, streamOf } from './device';
import { checkParameterDType, type ParameterDType } from './dtype';
import { BatchNormError, expected } from './errors';
import { checkForward, checkRunningVariance, type ForwardOptions } from './operands';
import type { Gradients } from './operations';
import { checkSettings, type Problem, problemOf, type Settings } from './problem';
import { checkBatches, measuring, PooledMoments, type RecalibrateOptions } from './recalibration';
import { checkRenorm, checkRenormTracks, type Renorm } from './renorm';
import { RunningStatistics } from './running_statistics';
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
  /**
   * Batch renormalization in training, for small batches: the limits of the correction towards the running statistics; none when left out. Not without
   * running statistics, and not by cuDNN.
   */
  renorm?: Renorm | null | undefined;
  /**
   * Ghost batches, for large ones: in training so many samples (entries of the first dimension) at most are normalized together (Hoffer, Hubara &
   * Soudry 2017, arXiv:1705.08741); all when left out. As if the layer were called with one part of the batch after the other, whose sizes differ by
   * one at most: running statistics are updated and counted for each part. Eval mode divides nothing, unless it has no running statistics and
   * uses the batch's.
   */
  virtualBatchSize?: number | null | undefined;
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
  'renorm',
  'virtualBatchSize',
];
const FORWARD_OPTIONS = ['residual', 'out', 'stream', 'saveForBackward'];

/** Options of a layer's backward pass. */
export interface BackwardOptions {
  /** The queue to run on; the device's own when left out. */
  stream?: Stream | undefined;
}

/** Options of loading a layer's state. */
export interface LoadOptions {
  /** Whether missing and unknown keys are errors; true when left out. */
  strict?: boolean | undefined;
}

/** What {@link BatchNorm} and {@link RecurrentBatchNorm} have in common: options, scale and shift, and the mode. */
export abstract class Layer implements Disposable {
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
  /** Most samples that are normalized together in training; null: all. */
  readonly virtualBatchSize: number | null;
  /** Where the parameters are, and the inputs must be. */
  readonly device: Device;
  /**
   * Scale γ, `[C]`, at first 1; null without. Change it by `write`. Like the other tensors of the layer it is disposed with the layer;
   * a layer one of whose tensors was disposed alone throws `ERR_DISPOSED` when it needs it.
   */
  readonly weight: Tensor | null;
  /** Shift β, `[C]`, at first 0; null without. */
  readonly bias: Tensor | null;
  /** @internal One for each set of running statistics. */
  protected readonly running: readonly RunningStatistics[];
  /** @internal Not private by #: a layer that another object inherits from may be mistaken for options, and is then read as such. */
  protected settings: Settings;
  #training = true;
  #disposed = false;

  /** @internal @param sets - how many sets of running statistics there are. */
  protected constructor(numFeatures: number, options: BatchNormOptions, sets: number, known: readonly string[]) {
    checkOptions(options, [...OPTIONS, ...known]);
    const { momentum = 0.1, affine = true, trackRunningStats = true, runningVariance = 'unbiased', dtype = 'float32' } = options;
    this.numFeatures = checkInteger(numFeatures, 'numFeatures', 1);
    this.momentum = momentum === null ? null : checkFinite(momentum, 'options.momentum');
    this.runningVariance = checkRunningVariance(runningVariance);
    this.dtype = checkParameterDType(dtype, 'options.dtype');
    const affineParts = checkAffine(affine);
    const tracked = checkBoolean(trackRunningStats, 'options.trackRunningStats');
    this.device = checkDevice(options.device, 'options.device');
    this.settings = checkSettings(options, this.dtype, this.device);
    checkRenormTracks(this.settings.renorm, tracked, 'trackRunningStats: false');
    this.eps = this.settings.eps;
    this.axis = this.settings.axis;
    this.activation = options.activation ?? 'identity';
    this.inPlace = this.settings.inPlace;
    this.virtualBatchSize = this.settings.virtualBatchSize;
    const made: { dispose(): void }[] = [];
    const keep = <T extends { dispose(): void }>(part: T): T => {
      made.push(part);
      return part;
    };
    const vectorOf = (value: number) => keep(Tensor.full([this.numFeatures], value, { dtype: this.dtype, device: this.device }));
    const statistics = () => keep(new RunningStatistics(this.numFeatures, this.dtype, this.device));
    try {
      this.weight = affineParts.weight ? vectorOf(1) : null;
      this.bias = affineParts.bias ? vectorOf(0) : null;
      this.running = tracked ? Array.from({ length: sets }, statistics) : [];
    } catch (error) {
      for (const part of made) part.dispose(); // out of memory half way leaves nothing behind
      throw error;
    }
  }

  /** Limits of batch renormalization; null: none. May be set, which training from the next pass on heeds, though not a graph that
   * was captured: the paper raises them by and by. */
  get renorm(): Renorm | null {
    return this.settings?.renorm ?? null;
  }

  /** @throws {BatchNormError} `ERR_INVALID_ARGUMENT`. */
  set renorm(limits: Renorm | null) {
    const renorm = checkRenorm(limits, this.settings.backend);
    checkRenormTracks(renorm, this.running.length > 0, 'a layer with trackRunningStats: false');
    this.settings = { ...this.settings, renorm };
  }

  /** Whether the layer is in training mode. */
  get training(): boolean {
    return this.#training;
  }

  /** Whether {@link Layer.dispose} was called. */
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

  /** Sets the running statistics and their counters back to the start; does nothing without tracking. @throws {BatchNormError} `ERR_DISPOSED`. */
  resetRunningStats(): void {
    this.checkAlive();
    for (const running of this.running) running.check(); // all of them are reset, or none
    for (const running of this.running) running.reset();
  }

  /** Gives all memory of the layer back; safe while its work is queued. A second call does nothing. */
  dispose(): void {
    this.#disposed = true;
    for (const cell of this.cells()) cell.forget();
    this.weight?.dispose();
    this.bias?.dispose();
    for (const running of this.running) running.dispose();
  }

  /** As {@link Layer.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The options and the mode, on one line. */
  toString(): string {
    const { eps, momentum, axis, activation, dtype, device } = this;
    const { backend, renorm } = this.settings;
    const affine = this.weight ? (this.bias ? true : `'weight'`) : this.bias ? `'bias'` : false;
    const rare = [
      backend.library === 'native' ? '' : `, backend: '${backend.library}'`,
      this.inPlace ? ', inPlace: true' : '',
      renorm === null ? '' : `, renorm: { rMax: ${renorm.rMax}, dMax: ${renorm.dMax} }`,
      this.virtualBatchSize === null ? '' : `, virtualBatchSize: ${this.virtualBatchSize}`,
      this.ownOptions(),
    ].join('');
    const mode = this.#disposed ? 'disposed' : this.#training ? 'training' : 'eval';
    return (
      `${this.constructor.name}(${this.numFeatures}, { eps: ${eps}, momentum: ${momentum}, affine: ${affine}, ` +
      `trackRunningStats: ${this.running.length > 0}, axis: ${axis}, activation: '${activation}', dtype: '${dtype}'${rare} }) on ${device.name}, ${mode}`
    );
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal All that hold a saved pass. */
  protected abstract cells(): Iterable<Cell>;

  /** @internal What only this kind of layer has, for {@link Layer.toString}. */
  protected ownOptions(): string {
    return '';
  }

  /** @internal */
  protected forwardIn(cell: Cell, input: Tensor, options: ForwardOptions | undefined): Tensor {
    checkOptions(options, FORWARD_OPTIONS);
    checkTensor(input, 'input', this.device);
    const ofBatch = this.#training || cell.running === null;
    const problem = this.#problemOf(input, ofBatch ? this.settings : undivided(this.settings), 'input');
    const weight = this.#own(this.weight, 'weight');
    const bias = this.#own(this.bias, 'bias');
    const call = checkForward(problem, input, weight, bias, options, this.#training);
    return cell.forward(call, this.#training, this.momentum, this.runningVariance === 'unbiased');
  }

  /** @internal */
  protected backwardIn(cell: Cell, gradOutput: Tensor, options: BackwardOptions | undefined): Gradients {
    checkOptions(options, ['stream']);
    return cell.backward(gradOutput, () => streamOf(this.device, options?.stream));
  }

  /** @internal */
  protected async recalibrateIn(
    running: RunningStatistics | null,
    batches: Iterable<Tensor> | AsyncIterable<Tensor>,
    options: RecalibrateOptions | undefined,
  ): Promise<void> {
    checkOptions(options, ['stream']);
    if (running === null) throw untracked();
    refuseCapture(this.device); // what the batches hold has to be read
    running.check();
    streamOf(this.device, options?.stream); // a wrong one is told before a batch is asked for
    const settings = measuring(this.settings);
    const moments = new PooledMoments(this.numFeatures);
    for await (const batch of checkBatches(batches)) {
      this.checkAlive();
      checkTensor(batch, 'batches', this.device);
      const tensor = batch as Tensor;
      await moments.add(this.#problemOf(tensor, settings, 'batches'), tensor, options?.stream);
    }
    const mean = moments.mean();
    const variance = moments.variance(this.runningVariance === 'unbiased');
    this.checkAlive();
    running.replace(mean, variance, moments.batches);
  }

  #problemOf(input: Tensor, settings: Settings, name: string): Problem {
    const problem = problemOf(settings, input);
    if (problem.channels === this.numFeatures) return problem;
    throw expected(`${this.numFeatures} channels at axis ${this.axis}`, name, input, 'ERR_SHAPE');
  }

  /** @internal */
  protected checkAlive(): void {
    if (!this.#disposed) return;
    const { name } = this.constructor;
    throw new BatchNormError('ERR_DISPOSED', `Expected a ${name} that is not disposed but received a disposed one`);
  }

  #own(tensor: Tensor | null, name: string): Storage | null {
    return tensor && checkTensor(tensor, name, this.device);
  }
}

/** For passes whose statistics are given: of them virtual batches make no difference. */
function undivided(settings: Settings): Settings {
  return settings.virtualBatchSize === null ? settings : { ...settings, virtualBatchSize: null };
}

function untracked(): BatchNormError {
  return new BatchNormError('ERR_STATE', 'Expected running statistics to recalibrate but the layer was made with trackRunningStats: false');
}

function checkAffine(affine: unknown): { weight: boolean; bias: boolean } {
  if (affine === 'weight' || affine === 'bias') return { weight: affine === 'weight', bias: affine === 'bias' };
  if (typeof affine === 'boolean') return { weight: affine, bias: affine };
  throw expected(`a boolean, 'weight' or 'bias'`, 'options.affine', affine);
}
