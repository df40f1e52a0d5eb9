/** Putting other parameters into a model. */

import { clearField, create } from '@bufbuild/protobuf';
import { BatchNorm } from '../../batch_norm';
import { BatchNormError, expected, show, wrongLength } from '../../errors';
import { entriesByName } from '../by_name';
import { valueInfo } from './builder';
import { attributeOf, encodeModel, readModel, scopesOf } from './model';
import { type Found, findNodes, originOf, PARAMETERS, type ParameterName, settingsOf } from './node';
import { type OnnxSettings, type OnnxState, onnxSettings, type Parameters, parametersOf } from './parameters';
import { ATTRIBUTE, AttributeSchema, type ModelProto, type TensorProto, TensorSchema } from './schema';
import { dtypeOf, encodeChecked, lengthOf } from './tensor';

/**
 * The model with other parameters in some of its BatchNormalization nodes; all else stays, and what this package does not know of ONNX too.
 * The parameters keep the data types they have in the model. One that other nodes use as well stays for them, and the node gets its own.
 * The model's other external data stays where it is: the new model belongs in the same folder.
 *
 * @param source - as for {@link readBatchNorms}.
 * @param updates - by the nodes' names, as {@link readBatchNorms} gives them. A layer gives its `eps` and momentum too, and must have
 * running statistics and no activation; a state (`await layer.stateDict()`) gives parameters and statistics only.
 * @returns the new model's bytes.
 * @throws {BatchNormError} by rejection: as {@link readBatchNorms}; `ERR_INVALID_ARGUMENT` for a name that no node or more than one has,
 * `ERR_DTYPE` for numbers beyond the range of the parameter's type, `ERR_SHAPE` for another number of channels.
 */
export async function updateBatchNorms(
  source: string | URL | Uint8Array,
  updates: ReadonlyMap<string, BatchNorm | OnnxState> | Readonly<Record<string, BatchNorm | OnnxState>>,
): Promise<Uint8Array> {
  const wanted = entriesByName(updates, 'layers or states by name', 'updates');
  const { model } = await readModel(source);
  const found = findNodes(model);
  const changes: [Found, Change][] = [];
  for (const [name, update] of wanted) {
    const node = nodeOf(name, found);
    settingsOf(node); // what cannot be read is not written either
    changes.push([node, await changeOf(name, update)]);
  }
  const users = countUsers(model);
  for (const [node, change] of changes) apply(model, node, change, users);
  return encodeModel(model);
}

interface Change {
  parameters: Parameters;
  /** Of a layer; a state leaves the node's. */
  settings: OnnxSettings | undefined;
}

async function changeOf(name: string, update: unknown): Promise<Change> {
  const what = `the update of ${show(name)}`;
  if (!(update instanceof BatchNorm)) return { parameters: await parametersOf(update, what), settings: undefined };
  const { activation, eps, momentum } = update;
  if (activation !== 'identity') {
    const remedy = 'a node has none; give the state, and see to it that the model has the activation behind the node';
    throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected activation 'identity' for ${what} but received '${activation}': ${remedy}`);
  }
  return { settings: onnxSettings(eps, momentum), parameters: await parametersOf(update, what) };
}

function nodeOf(name: unknown, found: readonly Found[]): Found {
  const nodes = found.filter((node) => node.name === name);
  if (nodes.length === 1) return nodes[0]!;
  if (nodes.length > 1) throw expected(`a name that one node has, not ${nodes.length}`, 'a key of updates', name);
  const names = show(found.map((node) => node.name));
  throw expected(`the name of a BatchNormalization node (there are ${names})`, 'a key of updates', name);
}

/** How often each name stands at an input of a node or an output of a graph; 0 for those that are only made. */
function countUsers(model: ModelProto): Map<string, number> {
  const users = new Map<string, number>();
  const count = (name: string, times: number) => users.set(name, (users.get(name) ?? 0) + times);
  for (const { graph } of scopesOf(model)) {
    for (const { name } of [...graph.initializer, ...graph.input]) count(name, 0);
    for (const { name } of graph.output) count(name, 1);
    for (const { input, output } of graph.node) {
      for (const name of input) count(name, 1);
      for (const name of output) count(name, 0);
    }
  }
  return users;
}

function apply(model: ModelProto, found: Found, { parameters, settings }: Change, users: Map<string, number>): void {
  for (const parameter of PARAMETERS) replace(model, found, parameter, parameters, users);
  if (settings === undefined) return;
  setFloat(found, 'epsilon', settings.epsilon);
  setFloat(found, 'momentum', settings.momentum);
}

function replace(
  model: ModelProto,
  found: Found,
  parameter: ParameterName,
  { channels, values }: Parameters,
  users: Map<string, number>,
): void {
  const { tensor, isInitializer, name } = originOf(found, parameter);
  const dtype = dtypeOf(tensor, name);
  const length = lengthOf(tensor, name);
  if (length !== channels) throw wrongLength(`${parameter} of the update of ${show(found.name)}`, length, channels);
  const rawData = encodeChecked(values[parameter], dtype, name);
  const index = PARAMETERS.indexOf(parameter) + 1;
  const input = found.node.input[index]!;
  if (isInitializer && tensor.name === input && users.get(input) === 1) {
    overwrite(tensor, rawData);
    return;
  }
  const fresh = unusedName(`${found.name}.${parameter}`, users);
  addInitializer(model, fresh, tensor.dataType, rawData, length);
  found.node.input[index] = fresh;
  users.set(input, users.get(input)! - 1);
  users.set(fresh, 1);
}

function overwrite(tensor: TensorProto, rawData: Uint8Array): void {
  tensor.floatData = [];
  tensor.int32Data = [];
  tensor.doubleData = [];
  tensor.externalData = [];
  clearField(tensor, TensorSchema.field.dataLocation);
  tensor.rawData = rawData;
}

// In the outermost graph, whose values those inside of nodes see too.
function addInitializer({ graph, irVersion }: ModelProto, name: string, dataType: number, rawData: Uint8Array, length: number): void {
  graph!.initializer.push(create(TensorSchema, { name, dims: [BigInt(length)], dataType, rawData }));
  if (irVersion < 4n) graph!.input.push(valueInfo(name, dataType, [length])); // up to version 3 initializers were inputs as well
}

function unusedName(wish: string, users: ReadonlyMap<string, number>): string {
  let name = wish;
  for (let i = 2; users.has(name); ++i) name = `${wish}_${i}`;
  return name;
}

function setFloat({ node }: Found, name: string, value: number): void {
  const attribute = attributeOf(node, name);
  if (attribute === undefined) node.attribute.push(create(AttributeSchema, { name, type: ATTRIBUTE.float, f: value }));
  else attribute.f = value;
}
