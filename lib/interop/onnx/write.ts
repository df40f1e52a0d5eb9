/** Writing one batch norm as a model of its own. */

import { create } from '@bufbuild/protobuf';
import { type Activation, checkActivation } from '../../activation';
import { BatchNorm } from '../../batch_norm';
import { BatchNormError, expected } from '../../errors';
import { checkFinite, checkInteger, checkNonNegative, checkOptions, quoted } from '../../validate';
import { writeAtomically } from '../atomic_write';
import { checkPath } from '../place';
import { addActivation } from './activation';
import { GraphBuilder, valueInfo } from './builder';
import { encodeModel } from './model';
import { PARAMETERS } from './node';
import { type OnnxSettings, type OnnxState, onnxSettings, type Parameters, parametersOf } from './parameters';
import { DATA_TYPE, ModelSchema } from './schema';

/** How a model is written. Its input needs a rank, by `shape` or by `rank`. */
export interface OnnxOptions {
  /** Of the input: sizes, and null for those that are free. The size at the layer's axis may be left null too. */
  shape?: readonly (number | null)[] | undefined;
  /** Of the input, in place of `shape`: all sizes but that at the layer's axis are free. */
  rank?: number | undefined;
  /** Name of the node; `'batch_norm'` when left out. */
  name?: string | undefined;
  /** Version of ONNX's operators, 9 to 23; 15 when left out. From 20 on gelu is one node. */
  opset?: number | undefined;
}

/** As {@link OnnxOptions}, and what a state does not tell. */
export interface OnnxStateOptions extends OnnxOptions {
  /** Added to the variance; 1e-5 when left out. */
  eps?: number | undefined;
  /** Weight of the new value in the running statistics, as a layer's; 0.1 when left out. */
  momentum?: number | undefined;
  /** The channel dimension; 1 when left out. */
  axis?: number | undefined;
  /** Applied to the normalized value; `'identity'` when left out. */
  activation?: Activation | undefined;
}

const OPTIONS: readonly (keyof OnnxOptions)[] = ['shape', 'rank', 'name', 'opset'];
const STATE_OPTIONS: readonly (keyof OnnxStateOptions)[] = [...OPTIONS, 'eps', 'momentum', 'axis', 'activation'];
const NEWEST = 23;
/** The file format that came with a version of the operators: the oldest one that readers of these operators know. */
const IR_VERSIONS = [
  { until: 18, irVersion: 8n },
  { until: 20, irVersion: 9n },
  { until: 22, irVersion: 10n },
  { until: NEWEST, irVersion: 11n },
] as const;

/**
 * A layer's inference as an ONNX model: input `input`, output `output`, and between them a BatchNormalization node, Transpose nodes where the
 * axis is not 1, and nodes for the activation. A layer without weight or bias gets ones or zeros. A float64 layer becomes a model of doubles,
 * with an activation that ONNX Runtime computes in doubles: identity, relu, sigmoid or tanh.
 * `eps` and momentum are float32 in ONNX.
 *
 * @param layer - with running statistics and a momentum that is not null; or a state, as `stateDict()` gives it.
 * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT`, `ERR_SHAPE`, `ERR_DTYPE`, `ERR_DISPOSED`.
 */
export async function encodeOnnx(layer: BatchNorm, options: OnnxOptions): Promise<Uint8Array>;
export async function encodeOnnx(state: OnnxState, options: OnnxStateOptions): Promise<Uint8Array>;
export async function encodeOnnx(source: BatchNorm | OnnxState, options: OnnxStateOptions): Promise<Uint8Array>;
export async function encodeOnnx(source: BatchNorm | OnnxState, options: OnnxStateOptions): Promise<Uint8Array> {
  const settings = checkSettings(source, options);
  const parameters = await parametersOf(source, source instanceof BatchNorm ? 'layer' : 'state');
  if (parameters.dtype === 'float64') checkDoubleActivation(settings.activation);
  return encodeModel(modelOf(parameters, settings, checkInput(options, parameters.channels, settings.axis)));
}

/**
 * Writes {@link encodeOnnx}'s model to a file, which a failure leaves as it was.
 *
 * @param target - a path or a file URL; the folder must be there.
 * @throws {BatchNormError} as {@link encodeOnnx}. Errors of the file system keep their own codes.
 */
export async function writeOnnx(target: string | URL, layer: BatchNorm, options: OnnxOptions): Promise<void>;
export async function writeOnnx(target: string | URL, state: OnnxState, options: OnnxStateOptions): Promise<void>;
export async function writeOnnx(target: string | URL, source: BatchNorm | OnnxState, options: OnnxStateOptions): Promise<void> {
  const path = checkPath(target, 'target');
  const bytes = await encodeOnnx(source, options);
  await writeAtomically(path, async (file) => file.writeFile(bytes));
}

interface Settings extends OnnxSettings {
  name: string;
  opset: number;
  axis: number;
  activation: Activation;
}

function checkSettings(source: unknown, options: OnnxStateOptions): Settings {
  if (options === undefined) throw expected('an object with shape or rank', 'options', options);
  checkOptions(options, source instanceof BatchNorm ? OPTIONS : STATE_OPTIONS);
  const { name = 'batch_norm', opset = 15 } = options;
  if (typeof name !== 'string' || name === '' || Buffer.from(name).toString() !== name) {
    throw expected('Unicode text that is not empty', 'options.name', name);
  }
  if (checkInteger(opset, 'options.opset', 1) < 9 || opset > NEWEST) throw expected(`9 to ${NEWEST}`, 'options.opset', opset);
  const { eps, momentum, axis, activation } = source instanceof BatchNorm ? source : checkStateOptions(options);
  return { name, opset, axis, activation, ...onnxSettings(eps, momentum) };
}

function checkStateOptions({ eps = 1e-5, momentum = 0.1, axis = 1, activation }: OnnxStateOptions) {
  checkNonNegative(eps, 'options.eps');
  if (momentum !== null) checkFinite(momentum, 'options.momentum');
  checkInteger(axis, 'options.axis', Number.MIN_SAFE_INTEGER);
  return { eps, momentum, axis, activation: checkActivation(activation) };
}

const DOUBLE_ACTIVATIONS: readonly Activation[] = ['identity', 'relu', 'sigmoid', 'tanh'];

function checkDoubleActivation(activation: Activation): void {
  if (DOUBLE_ACTIVATIONS.includes(activation)) return;
  const reason = 'ONNX Runtime does not compute it in doubles; write it with float32 parameters';
  const message = `Expected an activation among ${quoted(DOUBLE_ACTIVATIONS)} for a layer of float64 but received '${activation}': ${reason}`;
  throw new BatchNormError('ERR_INVALID_ARGUMENT', message);
}

/** The input's sizes, null for those that are free, and the dimension of the channels. */
interface Input {
  shape: readonly (number | null)[];
  axis: number;
}

function checkInput({ shape, rank }: OnnxOptions, channels: number, axis: number): Input {
  if ((shape === undefined) === (rank === undefined)) throw expected('either shape or rank', 'options', { shape, rank });
  const sizes = shape === undefined ? new Array<null>(checkRank(rank)).fill(null) : checkSizes(shape);
  const dimension = axis < 0 ? axis + sizes.length : axis;
  if (dimension < 0 || dimension >= sizes.length) {
    throw new BatchNormError('ERR_SHAPE', `Expected a rank with dimension ${axis}, the axis, for options but received ${sizes.length}`);
  }
  const size = sizes[dimension]!;
  if (size !== null && size !== channels) throw expected(`${channels} channels at axis ${axis}`, 'options.shape', shape, 'ERR_SHAPE');
  return { shape: sizes.with(dimension, channels), axis: dimension };
}

const HIGHEST_RANK = 64;

function checkRank(rank: unknown): number {
  if (checkInteger(rank, 'options.rank', 1) >= 2 && (rank as number) <= HIGHEST_RANK) return rank as number;
  throw expected(`2 to ${HIGHEST_RANK}`, 'options.rank', rank);
}

function checkSizes(shape: unknown): (number | null)[] {
  if (!Array.isArray(shape)) throw expected('an array of sizes and nulls', 'options.shape', shape);
  if (shape.length < 2) throw expected('two dimensions or more', 'options.shape', shape, 'ERR_SHAPE');
  return Array.from(shape, (size, i) => (size === null ? null : checkInteger(size, `options.shape[${i}]`, 1)));
}

function modelOf({ dtype, values }: Parameters, { name, opset, epsilon, momentum, activation }: Settings, input: Input) {
  const graph = new GraphBuilder(name, dtype);
  const parameters = PARAMETERS.map((parameter) => graph.parameter(parameter, values[parameter]));
  // ONNX's channels are dimension 1; exchanging it with the axis is undone by doing it again.
  const exchange = (value: string) => (input.axis === 1 ? value : graph.add('Transpose', [value], { perm: exchanged(input) }));
  const normalized = graph.add('BatchNormalization', [exchange('input'), ...parameters], { epsilon, momentum }, name);
  exchange(addActivation(graph, activation, normalized, opset));
  graph.nodes.at(-1)!.output = ['output'];
  const { irVersion } = IR_VERSIONS.find(({ until }) => opset <= until)!;
  return create(ModelSchema, {
    irVersion,
    producerName: 'cuda-batchnorm',
    opsetImport: [{ version: BigInt(opset) }],
    graph: {
      name,
      node: graph.nodes,
      initializer: graph.initializers,
      input: [valueInfo('input', DATA_TYPE[dtype], input.shape)],
      output: [valueInfo('output', DATA_TYPE[dtype], input.shape)],
    },
  });
}

function exchanged({ shape, axis }: Input): number[] {
  return [...shape.keys()].map((dimension) => (dimension === axis ? 1 : dimension === 1 ? axis : dimension));
}
