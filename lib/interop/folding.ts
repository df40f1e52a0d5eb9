/** Batch norm folded into the layer before it, for inference: the same output without the batch norm. */

import { BatchNorm } from '../batch_norm';
import { hostValues, type NumericArray, nameOfTypedArray } from '../dtype';
import { expected } from '../errors';
import { checkShape, sizeOf } from '../shape';
import type { LoadableEntry } from '../state_dict';
import { isTensor, Tensor } from '../tensor';
import { checkNonNegative, checkOptions } from '../validate';
import { checkRange, type FloatDType, floatValues, storedFloats } from './float_values';
import { type Affine, affineOfState, checkOutputAxis, foldBias, scaleChannels } from './fold_arithmetic';
import { stateOf } from './layer_or_state';
import type { SafetensorsTensor } from './safetensors_file';
import { checkStoredDType, STORED } from './safetensors_header';

/** An array of any rank that is no tensor. */
export interface ShapedArray<Data extends NumericArray = NumericArray> {
  /** Sizes of the dimensions, row-major. */
  readonly shape: readonly number[];
  /** The elements. */
  readonly data: Data;
}

/** Options of {@link foldBatchNorm}. */
export interface FoldOptions {
  /**
   * The dimension of the weight that counts output channels; 0 when left out, as PyTorch's convolutions and linear layers have it. 1 for its
   * transposed convolutions (of one group), −1 for Keras and TensorFlow.js.
   */
  outputAxis?: number | undefined;
  /** What the batch norm adds to the variance, where it is given as a state; 1e-5 when left out. A layer knows its own. */
  eps?: number | undefined;
}

/** Weight and bias that do the batch norm's work too. */
export interface Folded<Array> {
  /** Of the given weight's shape. */
  weight: Array;
  /** `[C]`, whether there was a bias or not. */
  bias: Array;
}

/** A batch norm with running statistics: a layer, in either mode, or its state by PyTorch's names. */
export type FoldableNorm = BatchNorm | Readonly<Record<string, LoadableEntry>>;

type Foldable = Tensor | SafetensorsTensor | ShapedArray;

const DEFAULT_EPS = 1e-5;

/**
 * Folds a batch norm as it is in eval mode into the linear layer or convolution before it: weight·γ/√(var + eps) along the output channels,
 * and (bias − mean)·γ/√(var + eps) + β. The layer's activation stays to be done, after the layer that now has the new weight and bias. What is given
 * is not changed.
 *
 * Computed in double and rounded once. A tensor gives tensors of its dtype on its device, a tensor of a safetensors file such tensors of its
 * dtype, another array a Float64Array where it is one and else a Float32Array.
 *
 * @param weight - any rank from 1; as many output channels as the batch norm has channels.
 * @param bias - `[C]`, or null for a layer without.
 * @throws {BatchNormError} by rejection: `ERR_STATE` for a layer without running statistics, `ERR_SHAPE` where channels differ,
 * `ERR_INVALID_ARGUMENT`, where variance + eps is not above 0 too, `ERR_DTYPE` where a result is beyond the range of its type, `ERR_DISPOSED`.
 */
export function foldBatchNorm(weight: Tensor, bias: Tensor | null, norm: FoldableNorm, options?: FoldOptions): Promise<Folded<Tensor>>;
export function foldBatchNorm(
  weight: SafetensorsTensor,
  bias: SafetensorsTensor | ShapedArray | null,
  norm: FoldableNorm,
  options?: FoldOptions,
): Promise<Folded<SafetensorsTensor>>;
export function foldBatchNorm(
  weight: ShapedArray<Float64Array>,
  bias: ShapedArray | null,
  norm: FoldableNorm,
  options?: FoldOptions,
): Promise<Folded<ShapedArray<Float64Array>>>;
export function foldBatchNorm(
  weight: ShapedArray,
  bias: ShapedArray | null,
  norm: FoldableNorm,
  options?: FoldOptions,
): Promise<Folded<ShapedArray<Float32Array | Float64Array>>>;
export async function foldBatchNorm(
  weight: Foldable,
  bias: Foldable | null,
  norm: FoldableNorm,
  options?: FoldOptions,
): Promise<Folded<Tensor> | Folded<SafetensorsTensor> | Folded<ShapedArray>> {
  checkOptions(options, ['outputAxis', 'eps']);
  const shape = checkShape(shapeOf(weight, 'weight'), 'weight.shape');
  const axis = checkOutputAxis(options?.outputAxis ?? 0, shape, 'options.outputAxis');
  const channels = shape[axis]!;
  if (bias !== null) checkVector(shapeOf(bias, 'bias'), channels);
  const affine = await affineOf(norm, channels, options?.eps);
  const values = await valuesOf(weight, shape, 'weight');
  const biasValues = bias === null ? new Float64Array(channels) : await valuesOf(bias, [channels], 'bias');
  const folded = { weight: scaleChannels(values, shape, axis, affine), bias: foldBias(biasValues, affine) };
  if (isTensor(weight)) return tensors(folded, weight, channels);
  return isStored(weight) ? storedTensors(folded, weight, channels) : arrays(folded, weight, channels);
}

function shapeOf(value: unknown, name: string): unknown {
  if (isTensor(value)) return value.shape;
  if (typeof value === 'object' && value !== null && 'shape' in value && 'data' in value) return value.shape;
  throw expected('a Tensor or { shape, data }', name, value);
}

function checkVector(shape: unknown, channels: number): void {
  const sizes = checkShape(shape, 'bias.shape');
  if (sizes.length !== 1 || sizes[0] !== channels) throw expected(`[${channels}]`, 'bias.shape', shape, 'ERR_SHAPE');
}

async function affineOf(norm: unknown, channels: number, eps: unknown): Promise<Affine> {
  if (!(norm instanceof BatchNorm)) {
    return affineOfState(await stateOf(norm, 'norm'), channels, eps === undefined ? DEFAULT_EPS : checkNonNegative(eps, 'options.eps'));
  }
  if (eps !== undefined) throw expected('undefined, for the layer has its own,', 'options.eps', eps);
  if (norm.runningMean === null) throw expected('a layer with running statistics', 'norm', norm, 'ERR_STATE');
  if (norm.numFeatures !== channels) throw expected(`${channels} channels, as the weight has,`, 'norm', norm, 'ERR_SHAPE');
  return affineOfState(await norm.stateDict(), channels, norm.eps);
}

async function valuesOf(value: Foldable, shape: readonly number[], name: string): Promise<ArrayLike<number>> {
  if (isTensor(value)) return value.read();
  const data = isStored(value) ? floatValues(checkStored(value, name), name) : value.data;
  return hostValues(data, sizeOf(shape, 8), 'float64', `${name}.data`);
}

// Of a file; an array may say too that it is float32 or float64, as the entries of a state do.
function isStored(value: SafetensorsTensor | ShapedArray): value is SafetensorsTensor {
  return 'dtype' in value && !['float32', 'float64', undefined].includes(value.dtype);
}

function checkStored(tensor: SafetensorsTensor, name: string): SafetensorsTensor {
  const wanted = STORED[checkStoredDType(tensor.dtype, `${name}.dtype`)].ArrayType.name;
  if (nameOfTypedArray(tensor.data) === wanted) return tensor;
  throw expected(`a ${wanted}, as ${tensor.dtype} has it,`, `${name}.data`, tensor.data);
}

function tensors({ weight, bias }: Folded<Float64Array>, like: Tensor, channels: number): Folded<Tensor> {
  const { dtype, device, shape } = like;
  checkRange(weight, dtype, 'the folded weight');
  checkRange(bias, dtype, 'the folded bias');
  const made = Tensor.from(weight, shape, { dtype, device });
  try {
    return { weight: made, bias: Tensor.from(bias, [channels], { dtype, device }) };
  } catch (error) {
    made.dispose();
    throw error;
  }
}

function storedTensors({ weight, bias }: Folded<Float64Array>, like: SafetensorsTensor, channels: number): Folded<SafetensorsTensor> {
  const dtype = like.dtype as FloatDType; // else its values could not be read
  return {
    weight: { dtype, shape: [...like.shape], data: storedFloats(weight, dtype, 'the folded weight') },
    bias: { dtype, shape: [channels], data: storedFloats(bias, dtype, 'the folded bias') },
  };
}

function arrays({ weight, bias }: Folded<Float64Array>, like: ShapedArray, channels: number): Folded<ShapedArray> {
  const double = nameOfTypedArray(like.data) === 'Float64Array';
  const stored = (values: Float64Array, name: string) => (double ? values : Float32Array.from(checkRange(values, 'float32', name)));
  return {
    weight: { shape: [...like.shape], data: stored(weight, 'the folded weight') },
    bias: { shape: [channels], data: stored(bias, 'the folded bias') },
  };
}
