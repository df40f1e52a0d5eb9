/** Batch norms of ONNX models: read from models, put into them, and written as models of their own. */

import './peer';

export type { ParameterName } from './node';
export type { OnnxState } from './parameters';
export { type OnnxBatchNorm, type OnnxParameter, type Placement, readBatchNorms } from './read';
export { updateBatchNorms } from './update';
export { encodeOnnx, type OnnxOptions, type OnnxStateOptions, writeOnnx } from './write';
