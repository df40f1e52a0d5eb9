/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Batch normalization on CPU and GPU: tensors on devices, a layer with PyTorch's semantics, and the operations under it.
 *
 * @packageDocumentation
 */

export type { Activation } from './activation';
export type { BackendCause, CudnnMode } from './addon';
export type { BackendName } from './backend';
export { BatchNorm } from './batch_norm';
export { type BackendReport, Device, type DeviceName, type MemoryUse } from './device';
export type { DType, NumericArray, ParameterDType } from './dtype';
export { BatchNormError, type ErrorCode } from './errors';
export { Event } from './event';
export {
  type BackwardOptions as BatchNormBackwardOptions,
  batchNormBackward,
  batchNormInference,
  batchNormTraining,
  type InferenceOptions as BatchNormInferenceOptions,
  type OperationOptions,
  type TrainingOptions as BatchNormTrainingOptions,
  type TrainingResult as BatchNormTrainingResult,
  type VariantOptions,
} from './functional';
export { Graph, type LaunchOptions } from './graph';
export type { BackwardOptions, BatchNormOptions, Layer, LoadOptions } from './layer';
export { Mask } from './mask';
export type { ForwardOptions } from './operands';
export type { Gradients } from './operations';
export type { RecalibrateOptions } from './recalibration';
export { RecurrentBatchNorm, type RecurrentBatchNormOptions } from './recurrent_batch_norm';
export type { Renorm } from './renorm';
export type { LoadableEntry, StateDict, StateEntry } from './state_dict';
export { Stream } from './stream';
export { type PointerOptions, Tensor, type TensorOptions } from './tensor';
