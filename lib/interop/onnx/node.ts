/** BatchNormalization nodes: what they are called, what they are set to, and where their parameters come from. */

import { type BatchNormError, show } from '../../errors';
import { attributeOf, type Constant, isOperation, isOwnDomain, type Scope, scopesOf } from './model';
import { refused } from './refused';
import { ATTRIBUTE, type ModelProto, type NodeProto } from './schema';

const ONNX_NAMES = { weight: 'scale', bias: 'B', running_mean: 'input_mean', running_var: 'input_var' } as const;

/** Our name of one of the four. */
export type ParameterName = 'weight' | 'bias' | 'running_mean' | 'running_var';

/** The inputs after the first one, by our names; their order is the node's. */
export const PARAMETERS: readonly ParameterName[] = ['weight', 'bias', 'running_mean', 'running_var'];

/** A node in its graph. */
export interface Found {
  readonly node: NodeProto;
  readonly scope: Scope;
  /** The node's name or, where it has none, its output's, which no other node has. */
  readonly name: string;
}

/** All of them, in the order of their graphs. */
export function findNodes(model: ModelProto): Found[] {
  const found = scopesOf(model).flatMap((scope) =>
    scope.graph.node
      .filter((node) => isOperation(node, 'BatchNormalization'))
      .map((node) => ({ node, scope, name: node.name || (node.output[0] ?? '') })),
  );
  for (const one of found) checkArity(one);
  if (found.length > 0) checkOperatorSet(model);
  return found;
}

const OLDEST = 7n;

// Before version 7 the node was told apart from training by an attribute, and its inputs could be its outputs.
function checkOperatorSet({ opsetImport }: ModelProto): void {
  const version = opsetImport.find(({ domain }) => isOwnDomain(domain))?.version;
  if (version !== undefined && version >= OLDEST) return;
  const received = version === undefined ? 'none' : `version ${version}: convert the model by onnx.version_converter`;
  throw refused(`ONNX's operators of version ${OLDEST} or later`, 'BatchNormalization', received);
}

function checkArity({ node, name }: Found): void {
  const { input, output } = node;
  if (input.length === 5 && !input.includes('') && (output[0] ?? '') !== '') return;
  throw refused('5 inputs and an output', `node ${show(name)}`, `inputs ${show(input)} and outputs ${show(output)}`);
}

/** What the node does besides its parameters. */
export interface NodeSettings {
  epsilon: number;
  /** Weight of the old value in the running statistics. */
  momentum: number;
  /** Whether it normalizes with the batch's statistics and gives new running ones. */
  training: boolean;
}

/** The node's attributes, with ONNX's defaults. */
export function settingsOf({ node, name }: Found): NodeSettings {
  const spatial = integer(node, name, 'spatial', 1);
  if (spatial !== 1) {
    throw refused('spatial 1: one value per channel', `node ${show(name)}`, `${spatial}, which means one for each element of a sample`);
  }
  const epsilon = float(node, name, 'epsilon', Math.fround(1e-5));
  const momentum = float(node, name, 'momentum', Math.fround(0.9));
  if (!(epsilon >= 0 && Number.isFinite(epsilon)))
    throw refused('a finite number of at least 0', `epsilon of node ${show(name)}`, `${epsilon}`);
  if (!Number.isFinite(momentum)) throw refused('a finite number', `momentum of node ${show(name)}`, `${momentum}`);
  // Up to version 13 it is the outputs alone that tell: running and saved statistics are there in training.
  const training = integer(node, name, 'training_mode', 0) !== 0 || node.output.slice(1).some((output) => output !== '');
  return { epsilon, momentum, training };
}

function float(node: NodeProto, name: string, setting: string, byDefault: number): number {
  const attribute = attributeOf(node, setting);
  if (attribute === undefined) return byDefault;
  if (attribute.type === ATTRIBUTE.float && attribute.refAttrName === '') return attribute.f;
  throw refused('a float', `${setting} of node ${show(name)}`, `an attribute of ONNX's type ${attribute.type}`);
}

function integer(node: NodeProto, name: string, setting: string, byDefault: number): number {
  const attribute = attributeOf(node, setting);
  if (attribute === undefined) return byDefault;
  if (attribute.type === ATTRIBUTE.int && attribute.refAttrName === '') return Number(attribute.i);
  throw refused('an int', `${setting} of node ${show(name)}`, `an attribute of ONNX's type ${attribute.type}`);
}

/** A parameter where it is kept. */
export interface Origin extends Constant {
  /** For messages. */
  readonly name: string;
}

/** Where the parameter comes from: an initializer or a Constant, of this graph or one around it, perhaps by way of Identity nodes. */
export function originOf(found: Found, parameter: ParameterName): Origin {
  const input = found.node.input[PARAMETERS.indexOf(parameter) + 1]!;
  const name = `input ${show(input)} (${ONNX_NAMES[parameter]}) of node ${show(found.name)}`;
  return { ...constantBehind(found.scope, input, name), name };
}

function constantBehind(scope: Scope, input: string, name: string): Constant {
  const passed = new Map<NodeProto, Scope>();
  let wanted = input;
  let place: Scope | undefined = scope;
  while (place !== undefined) {
    const constant = place.constants.get(wanted);
    if (constant !== undefined) {
      remember(constant, passed);
      return constant;
    }
    const maker = place.makers.get(wanted);
    if (maker === undefined) {
      place = place.outer;
      continue;
    }
    const next = isOperation(maker, 'Identity') && !passed.has(maker) ? maker.input[0] : undefined;
    if (next === undefined) throw notConstant(name, `the output of ${show(maker.opType)} node ${show(maker.name || wanted)}`);
    passed.set(maker, place);
    wanted = next;
  }
  throw notConstant(name, 'an input of the graph, or nothing');
}

// Many nodes may be at the end of one long chain, which is walked once this way.
function remember(constant: Constant, passed: ReadonlyMap<NodeProto, Scope>): void {
  for (const [{ output }, { constants }] of passed) for (const name of output) constants.set(name, constant);
}

function notConstant(name: string, received: string): BatchNormError {
  return refused('an initializer or the output of a Constant', name, received);
}
