/** Batch normalization for TensorFlow.js: a layer, operations with gradients, and a way to keep models in files. */

import './peer';

export { fileSystem } from './file_system';
export { BatchNormalization, type BatchNormalizationConfig, batchNormalization } from './layer';
export {
  type BatchNorm,
  type BatchNormTrainingOptions,
  type BatchNormTrainingResult,
  batchNorm,
  batchNorm2d,
  batchNorm3d,
  batchNorm4d,
  batchNormTraining,
  type Input,
  type OptionalInput,
} from './ops';
export { replaceBatchNormalization, restoreBatchNormalization } from './replace';
