import type { Activation } from './activation';
import type { BackendName } from './backend';
import { streamOf } from './device';
import { checkParameterDType, type ParameterDType } from './dtype';
import { BatchNormError, expected } from './errors';
import { checkNoResidual } from './in_place';
import { checkMask, type Mask, makeMask } from './mask';
import { checkForward, checkGradient, checkLike, checkParameter, checkRunningVariance, type ForwardOptions } from './operands';
import { backward, type Forward, type Gradients, inferenceForward, type RunningUpdate, trainingForward } from './operations';
import { checkBatch, checkSettings, type Problem, problemOf, type SettingOptions } from './problem';
import { checkRenormTracks, type Renorm } from './renorm';
import { sameShape } from './shape';
import type { Storage } from './storage';
import type { Stream } from './stream';
import { checkTensor, isTensor, makeTensor, type Tensor } from './tensor';
import { checkFinite, checkOptions } from './validate';
import { statisticsRows } from './virtual_batches';

/** What the three operations have in common. Parameters and statistics share one dtype: float32 or float64. */
export interface OperationOptions {
  /** Scale γ, `[C]`; 1 when left out. */
  weight?: Tensor | null | undefined;
  /** Shift β, `[C]`; 0 when left out. */
  bias?: Tensor | null | undefined;
  /** Added to the variance, inside the root; 1e-5 when left out. */
  eps?: number | undefined;
  /** The channel dimension; 1 when left out. Negative counts from the end: −1 for channels last. */
  axis?: number | undefined;
  /** Applied to the normalized value; `'identity'` when left out. */
  activation?: Activation | undefined;
  /** The library that computes; `'native'` when left out. */
  backend?: BackendName | undefined;
  /**
   * As {@link BatchNormOptions.inPlace}: forward writes its output over the input and gives that tensor back, and backward, told so too, takes
   * it for its `input`. False when left out.
   */
  inPlace?: boolean | undefined;
  /** The queue to run on; the device's own when left out. */
  stream?: Stream | undefined;
}

/** What divides or corrects a training pass; backward is told the same. */
export interface VariantOptions {
  /** Limits of batch renormalization towards the running statistics, which must be given then; none when left out. Not by cuDNN. */
  renorm?: Renorm | null | undefined;
  /** Ghost batches: so many samples at most are normalized together, as {@link BatchNormOptions.virtualBatchSize} says; all when left out. */
  virtualBatchSize?: number | null | undefined;
}

/** Options of {@link batchNormTraining}. */
export interface TrainingOptions extends OperationOptions, VariantOptions, ForwardOptions {
  /** `[C]`, updated in place. With {@link TrainingOptions.runningVar} or not at all. */
  runningMean?: Tensor | null | undefined;
  /** `[C]`, updated in place. */
  runningVar?: Tensor | null | undefined;
  /** Weight of the new value in the running statistics; 0.1 when left out. */
  momentum?: number | undefined;
  /** Which variance the running variance collects; `'unbiased'` when left out. */
  runningVariance?: 'unbiased' | 'biased' | undefined;
}

/** What {@link batchNormTraining} gives: new tensors, the caller's to dispose. */
export interface TrainingResult {
  /** Of the input's shape and dtype; `options.out` where that was given, and the input with `inPlace`. */
  output: Tensor;
  /**
   * `[3, C]`, of the parameters' dtype: the batch's mean, the part of the mean that rounding left over, its biased variance. With `renorm`,
   * unless its limits are 1 and 0, `[5, C]`: r and d too. cuDNN gives `[2, C]`: mean and 1/√(variance + eps). Several virtual batches have them one after the other, `[parts, 3, C]`.
   */
  statistics: Tensor;
  /** For backward in place of the residual; null where backward needs none, or takes the residual itself. cuDNN's stands for more. */
  mask: Mask | null;
}

/** Options of {@link batchNormInference}. */
export interface InferenceOptions extends OperationOptions {
  /** Added before the activation. Of the input's shape and dtype. */
  residual?: Tensor | null | undefined;
  /** Written and returned instead of a new tensor. Of the input's shape and dtype; may be the input. */
  out?: Tensor | null | undefined;
}

/** Options of {@link batchNormBackward}: either `statistics`, or `mean` and `variance`. */
export interface BackwardOptions extends OperationOptions, VariantOptions {
  /** As {@link batchNormTraining} gave them: the gradient flows through them. */
  statistics?: Tensor | null | undefined;
  /** `[C]`: a constant, as in {@link batchNormInference}. */
  mean?: Tensor | null | undefined;
  /** `[C]`: a constant. */
  variance?: Tensor | null | undefined;
  /** As {@link batchNormTraining} gave it. */
  mask?: Mask | null | undefined;
  /** Of {@link batchNormTraining}: cuDNN wants it where there is an activation. */
  output?: Tensor | null | undefined;
  /** What was added before the activation; not read where there is a mask. */
  residual?: Tensor | null | undefined;
}

const OPERATION_OPTIONS = ['weight', 'bias', 'eps', 'axis', 'activation', 'backend', 'stream', 'inPlace'];
const VARIANT_OPTIONS = ['renorm', 'virtualBatchSize'];
const RUNNING_OPTIONS = ['runningMean', 'runningVar', 'momentum', 'runningVariance'];
const TRAINING_OPTIONS = [...OPERATION_OPTIONS, ...VARIANT_OPTIONS, ...RUNNING_OPTIONS, 'residual', 'out', 'saveForBackward'];
const INFERENCE_OPTIONS = [...OPERATION_OPTIONS, 'residual', 'out'];
const BACKWARD_OPTIONS = [...OPERATION_OPTIONS, ...VARIANT_OPTIONS, 'statistics', 'mean', 'variance', 'mask', 'output', 'residual'];

/**
 * Normalizes with the statistics of the batch: y = act(γ·(x − mean)/√(var + eps) + β [+ residual]), where mean and biased variance
 * are taken over all dimensions but the channel axis (Ioffe & Szegedy 2015, arXiv:1502.03167). Keeps no state: what backward needs
 * is in the result. An empty batch gives an empty output and leaves the running statistics as they are.
 *
 * @param input - rank 2 or more, any dtype.
 * @throws {BatchNormError} `ERR_SHAPE` where shapes do not fit or there is one value per channel, `ERR_DTYPE`, `ERR_INVALID_ARGUMENT`,
 * `ERR_DISPOSED`, `ERR_DEVICE_MISMATCH`, `ERR_DEVICE_UNAVAILABLE` for a backend that is not there, `ERR_OUT_OF_MEMORY`.
 */
export function batchNormTraining(input: Tensor, options: TrainingOptions = {}): TrainingResult {
  checkOptions(options, TRAINING_OPTIONS);
  const { weight, bias, runningMean, runningVar } = options;
  const problem = checkProblem(input, options, weight, bias, runningMean, runningVar);
  checkBatch(problem);
  const running = checkRunning(problem, options);
  checkRenormTracks(problem.settings.renorm, running !== null, 'neither options.runningMean nor options.runningVar');
  const { output, statistics, mask } = trainingForward(checkOperands(problem, input, options, true), running);
  const { device, dtype } = problem.settings;
  return {
    output,
    statistics: makeTensor(statistics!, statisticsShape(problem), dtype, device),
    mask: mask && makeMask(mask, device, (options.residual ?? null) !== null),
  };
}

/**
 * Normalizes with given statistics: y = act(γ·(x − mean)/√(variance + eps) + β [+ residual]).
 *
 * @param input - rank 2 or more, any dtype.
 * @param mean - `[C]`, of the parameters' dtype.
 * @param variance - `[C]`, of the parameters' dtype.
 * @returns a new tensor of the input's shape and dtype, or `options.out`.
 * @throws {BatchNormError} as {@link batchNormTraining}, but one value per channel is enough.
 */
export function batchNormInference(input: Tensor, mean: Tensor, variance: Tensor, options: InferenceOptions = {}): Tensor {
  checkOptions(options, INFERENCE_OPTIONS);
  const problem = checkProblem(input, options, mean, variance, options.weight, options.bias);
  const call = checkOperands(problem, input, options, false);
  return inferenceForward(call, required(mean, 'mean', problem), required(variance, 'variance', problem)).output;
}

/**
 * Gradients of {@link batchNormTraining} (given `statistics`) or of {@link batchNormInference} (given `mean` and `variance`). The other
 * options must be those of the forward pass, and `input` must still hold what it held then. There is a gradient of the residual where
 * `residual` or `mask` is given.
 *
 * @param gradOutput - gradient of the loss with respect to the output; of the input's shape and dtype.
 * @param input - the input of the forward pass; its output where that is in place of the input.
 * @throws {BatchNormError} as {@link batchNormTraining}.
 */
export function batchNormBackward(gradOutput: Tensor, input: Tensor, options: BackwardOptions): Gradients {
  checkOptions(options, BACKWARD_OPTIONS);
  const given = options ?? {};
  const { statistics, mean, variance, weight, bias, residual, stream } = given;
  const problem = checkProblem(input, given, statistics, mean, variance, weight, bias);
  const { mask, ofResidual } = checkMask(given.mask, 'options.mask', problem);
  if (problem.settings.inPlace) {
    checkNoResidual(given.mask, 'options.mask');
    checkNoResidual(residual, 'options.residual');
  }
  const call = {
    problem,
    input: checkTensor(input, 'input', problem.settings.device),
    residual: checkLike(residual, 'options.residual', problem),
    output: checkLike(given.output, 'options.output', problem),
    mask,
    ...checkStatistics(problem, statistics, mean, variance),
    weight: checkParameter(weight, 'options.weight', problem),
    bias: checkParameter(bias, 'options.bias', problem),
  };
  const hasResidual = call.residual !== null || ofResidual;
  return backward(call, checkGradient(gradOutput, problem), hasResidual, streamOf(problem.settings.device, stream));
}

function checkProblem(input: unknown, options: SettingOptions, ...parameters: unknown[]): Problem {
  if (!isTensor(input)) throw expected('a Tensor', 'input', input);
  return problemOf(checkSettings(options, parameterDType(input, parameters), input.device), input);
}

// Parameters and statistics share one dtype, so the first that is there names it; without any, it is the more exact one for free.
function parameterDType(input: Tensor, parameters: unknown[]): ParameterDType {
  const first = parameters.find(isTensor);
  if (first !== undefined) return checkParameterDType(first.dtype, 'the dtype of parameters and statistics');
  return input.dtype === 'float64' ? 'float64' : 'float32';
}

function checkOperands(problem: Problem, input: Tensor, options: OperationOptions & ForwardOptions, saveByDefault: boolean): Forward {
  const weight = checkParameter(options.weight, 'options.weight', problem);
  const bias = checkParameter(options.bias, 'options.bias', problem);
  return checkForward(problem, input, weight, bias, options, saveByDefault);
}

function checkRunning(problem: Problem, options: TrainingOptions): RunningUpdate | null {
  const { momentum = 0.1, runningVariance = 'unbiased' } = options;
  const factor = checkFinite(momentum, 'options.momentum');
  const unbiased = checkRunningVariance(runningVariance) === 'unbiased';
  const mean = checkParameter(options.runningMean, 'options.runningMean', problem);
  const variance = checkParameter(options.runningVar, 'options.runningVar', problem);
  if (mean === null && variance === null) return null;
  if (mean === null) throw expected('a Tensor, as runningVar is given,', 'options.runningMean', options.runningMean);
  if (variance === null) throw expected('a Tensor, as runningMean is given,', 'options.runningVar', options.runningVar);
  if (options.runningMean === options.runningVar) {
    throw expected('a Tensor of its own, not runningMean,', 'options.runningVar', options.runningVar);
  }
  return { mean, variance, momentum: factor, batches: 0, unbiased };
}

function statisticsShape(problem: Problem): readonly number[] {
  const ofPart = [statisticsRows(problem), problem.channels];
  return Object.freeze(problem.parts === 1 ? ofPart : [problem.parts, ...ofPart]);
}

function checkStatistics(problem: Problem, statistics: unknown, mean: unknown, variance: unknown) {
  if (statistics === undefined || statistics === null) {
    checkPlain(problem);
    return {
      statistics: null,
      mean: required(mean, 'options.mean', problem),
      variance: required(variance, 'options.variance', problem),
    };
  }
  if ((mean ?? variance ?? null) !== null) {
    throw new BatchNormError(
      'ERR_INVALID_ARGUMENT',
      'Expected either options.statistics or options.mean and options.variance but received both',
    );
  }
  return { statistics: checkBatchStatistics(problem, statistics), mean: null, variance: null };
}

// Given statistics are constants: nothing corrects them, and they are the same for all samples.
function checkPlain({ settings }: Problem): void {
  for (const name of ['renorm', 'virtualBatchSize'] as const) {
    if (settings[name] === null) continue;
    throw expected('nothing, as mean and variance are given in place of statistics,', `options.${name}`, settings[name]);
  }
}

function checkBatchStatistics(problem: Problem, statistics: unknown): Storage {
  const { settings } = problem;
  const shapeNeeded = statisticsShape(problem);
  const storage = checkTensor(statistics, 'options.statistics', settings.device);
  const { shape, dtype } = statistics as Tensor;
  if (dtype !== settings.dtype) throw expected(`dtype ${settings.dtype}`, 'options.statistics', statistics, 'ERR_DTYPE');
  if (!sameShape(shape, shapeNeeded)) throw expected(`shape [${shapeNeeded.join(', ')}]`, 'options.statistics', statistics, 'ERR_SHAPE');
  return storage;
}

function required(value: unknown, name: string, problem: Problem): Storage {
  const storage = checkParameter(value, name, problem);
  if (storage === null) throw expected('a Tensor', name, value);
  return storage;
}
