/** Reading the batch norms of a model. */

import type { BackendName } from '../../backend';
import type { BatchNorm } from '../../batch_norm';
import type { Device } from '../../device';
import type { HostValues, ParameterDType } from '../../dtype';
import { wrongLength } from '../../errors';
import type { BatchNormOptions } from '../../layer';
import type { LoadableEntry } from '../../state_dict';
import { checkOptions } from '../../validate';
import { importedLayer } from '../imported_layer';
import { readModel } from './model';
import { type Found, findNodes, type NodeSettings, type Origin, originOf, PARAMETERS, type ParameterName, settingsOf } from './node';
import type { TensorProto } from './schema';
import { dtypeOf, lengthOf, readValues } from './tensor';

/** Where a layer that comes from elsewhere is to be. */
export interface Placement {
  /** A device or the name of one; `'auto'` when left out. */
  device?: Device | string | undefined;
  /** The library that computes; `'native'` when left out. */
  backend?: BackendName | undefined;
}

/** A parameter of a node: an entry of a state. */
export interface OnnxParameter extends LoadableEntry {
  /** C numbers, which nodes that name the same initializer share: copy them before you change them. */
  readonly data: Float32Array | Float64Array;
}

/** A BatchNormalization node of a model. */
export class OnnxBatchNorm {
  /** The node's name or, where it has none, its output's. */
  readonly name: string;
  /** Name of the value that is normalized. */
  readonly input: string;
  /** Name of the result. */
  readonly output: string;
  /** C, the number of channels. */
  readonly numFeatures: number;
  /** Whether the node normalizes with the batch's statistics, which exported models seldom do. */
  readonly training: boolean;
  /**
   * For `new BatchNorm(numFeatures, options)`: `eps`, `momentum` (1 − ONNX's), `axis` 1, `runningVariance` `'biased'`, and `dtype`, which is
   * float64 where one of the parameters is, and float32 where not.
   */
  readonly options: Readonly<BatchNormOptions>;
  /** For {@link BatchNorm.loadStateDict}: the four parameters in float32 or float64; those of half types are widened. */
  readonly state: Readonly<Record<ParameterName, OnnxParameter>>;

  /** @internal */
  constructor({ node, name }: Found, { epsilon, momentum, training }: NodeSettings, dtype: ParameterDType, values: readonly HostValues[]) {
    this.name = name;
    this.input = node.input[0]!;
    this.output = node.output[0]!;
    this.numFeatures = values[0]!.length;
    this.training = training;
    this.options = { eps: epsilon, momentum: 1 - momentum, axis: 1, runningVariance: 'biased', dtype };
    const [weight, bias, mean, variance] = values.map((data) => ({ dtype, shape: [this.numFeatures], data }));
    this.state = { weight: weight!, bias: bias!, running_mean: mean!, running_var: variance! };
  }

  /**
   * A layer that computes what the node computes: in eval mode, or in training mode where {@link OnnxBatchNorm.training} is true.
   *
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DEVICE_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`, `ERR_ADDON`.
   */
  toBatchNorm(placement?: Placement): BatchNorm {
    checkOptions(placement, ['device', 'backend']);
    return importedLayer(this.numFeatures, { ...this.options, ...placement }, this.state).train(this.training);
  }
}

/**
 * All BatchNormalization nodes of an ONNX model, those in bodies of If, Loop and Scan too, but not those in functions of the model's own.
 * Their parameters must be initializers or Constants; external data is read from files in the model's own folder only.
 *
 * @param source - a path or a file URL; or the model's bytes, whose external data then cannot be found.
 * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT` for what is no ONNX model, or a node that cannot be a layer: with operators
 * older than version 7, with `spatial` 0, or with parameters that are computed or given at run time; `ERR_SHAPE` and `ERR_DTYPE` for its
 * parameters. Errors of the file system keep their own codes.
 */
export async function readBatchNorms(source: string | URL | Uint8Array): Promise<OnnxBatchNorm[]> {
  const { model, folder } = await readModel(source);
  const values = new SharedValues(folder);
  const found: OnnxBatchNorm[] = [];
  for (const one of findNodes(model)) found.push(await readNode(one, values));
  return found;
}

/** Each tensor's elements once: in a small file thousands of nodes may name a large one, and copies for all of them would take all memory. */
class SharedValues {
  readonly #read = { float32: new Map<TensorProto, HostValues>(), float64: new Map<TensorProto, HostValues>() };
  readonly #folder: string | undefined;

  /** @param folder - the model's, where it is known. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  async of({ tensor, name }: Origin, dtype: ParameterDType): Promise<HostValues> {
    const known = this.#read[dtype].get(tensor);
    if (known !== undefined) return known;
    const values = await readValues(tensor, dtype, this.#folder, name);
    this.#read[dtype].set(tensor, values);
    return values;
  }
}

async function readNode(found: Found, shared: SharedValues): Promise<OnnxBatchNorm> {
  const settings = settingsOf(found);
  const origins = PARAMETERS.map((parameter) => originOf(found, parameter));
  const dtype = origins.some(({ tensor, name }) => dtypeOf(tensor, name) === 'float64') ? 'float64' : 'float32';
  const channels = lengthOf(origins[0]!.tensor, origins[0]!.name);
  for (const { tensor, name } of origins) {
    const length = lengthOf(tensor, name);
    if (length !== channels) throw wrongLength(name, channels, length);
  }
  const values: HostValues[] = [];
  for (const origin of origins) values.push(await shared.of(origin, dtype));
  return new OnnxBatchNorm(found, settings, dtype, values);
}
