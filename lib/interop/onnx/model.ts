/** Models as bytes and as messages, and finding one's way in their graphs. */

import { dirname } from 'node:path';
import './peer';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BatchNormError } from '../../errors';
import { openSource } from '../byte_source';
import { checkPath } from '../place';
import {
  type AttributeProto,
  DATA_TYPE,
  type GraphProto,
  type ModelProto,
  ModelSchema,
  type NodeProto,
  type TensorProto,
  TensorSchema,
} from './schema';

/** A model, and the folder it lies in where that is known. */
export interface Source {
  model: ModelProto;
  folder: string | undefined;
}

/** Reads a file, or takes bytes as they are. */
export async function readModel(source: unknown): Promise<Source> {
  const opened = await openSource(source);
  try {
    const model = decodeModel(await opened.read(0, opened.byteLength), opened.name);
    const isPath = typeof source === 'string' || source instanceof URL;
    return { model, folder: isPath ? dirname(checkPath(source, 'source')) : undefined };
  } finally {
    await opened.close();
  }
}

function decodeModel(bytes: Uint8Array, name: string): ModelProto {
  let model: ModelProto;
  try {
    model = fromBinary(ModelSchema, bytes);
  } catch (error) {
    throw notAModel(name, (error as Error).message);
  }
  if (model.graph !== undefined) return model;
  throw notAModel(name, 'it has no graph');
}

function notAModel(name: string, reason: string): BatchNormError {
  return new BatchNormError('ERR_INVALID_ARGUMENT', `Expected an ONNX model for source but received ${name}, which is none: ${reason}`);
}

export function encodeModel(model: ModelProto): Uint8Array {
  return toBinary(ModelSchema, model);
}

/** A graph within its surroundings: names that it does not make itself are looked for outside. */
export interface Scope {
  readonly graph: GraphProto;
  readonly outer: Scope | undefined;
  /** Initializers and Constants, by name; and what Identity nodes pass on of them, once it was looked for. */
  readonly constants: Map<string, Constant>;
  /** The node that computes a value, by the value's name. */
  readonly makers: ReadonlyMap<string, NodeProto>;
}

/** A value that is known before anything is computed. */
export interface Constant {
  readonly tensor: TensorProto;
  readonly isInitializer: boolean;
}

/** The model's graph and those inside its nodes (bodies of If, Loop and Scan), from the outside in. */
export function scopesOf({ graph }: ModelProto): Scope[] {
  const scopes: Scope[] = [];
  const visit = (graph: GraphProto, outer: Scope | undefined): void => {
    const constants = constantsOf(graph);
    const makers = new Map(graph.node.flatMap((node) => node.output.map((output) => [output, node])));
    const scope: Scope = { graph, outer, constants, makers };
    scopes.push(scope);
    for (const { g, graphs } of graph.node.flatMap(({ attribute }) => attribute)) {
      for (const inner of g === undefined ? graphs : [g, ...graphs]) visit(inner, scope);
    }
  };
  if (graph !== undefined) visit(graph, undefined);
  return scopes;
}

function constantsOf(graph: GraphProto): Map<string, Constant> {
  const constants = new Map<string, Constant>();
  for (const node of graph.node) {
    const tensor = isOperation(node, 'Constant') ? constantOf(node) : undefined;
    if (tensor !== undefined) for (const output of node.output) constants.set(output, { tensor, isInitializer: false });
  }
  for (const tensor of graph.initializer) constants.set(tensor.name, { tensor, isInitializer: true });
  return constants;
}

function constantOf(node: NodeProto): TensorProto | undefined {
  const floats = attributeOf(node, 'value_floats')?.floats;
  if (floats === undefined) return attributeOf(node, 'value')?.t;
  return create(TensorSchema, { dims: [BigInt(floats.length)], dataType: DATA_TYPE.float32, floatData: floats });
}

/** The setting of that name; undefined where the node leaves it to its default. */
export function attributeOf({ attribute }: NodeProto, name: string): AttributeProto | undefined {
  return attribute.find((candidate) => candidate.name === name);
}

/** Whether the node is the operation of ONNX's own. */
export function isOperation({ opType, domain }: NodeProto, name: string): boolean {
  return opType === name && isOwnDomain(domain);
}

/** The empty name, and the one it is short for. */
export function isOwnDomain(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx';
}
