/** Models as bytes and as messages, and finding one's way in their graphs. */

import { dirname } from 'node:path';
import './peer';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { BatchNormError } from '../../errors';
import { openSource } from '../byte_source';
import { checkPath } from '../place';
import { type AttributeProto, type GraphProto, type ModelProto, ModelSchema, type NodeProto, type TensorProto } from './schema';

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
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** The node that computes a value, by the value's name. */
  readonly makers: ReadonlyMap<string, NodeProto>;
}

/** The model's graph and those inside its nodes (bodies of If, Loop and Scan), from the outside in. */
export function scopesOf({ graph }: ModelProto): Scope[] {
  const scopes: Scope[] = [];
  const visit = (graph: GraphProto, outer: Scope | undefined): void => {
    const initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
    const makers = new Map(graph.node.flatMap((node) => node.output.map((output) => [output, node])));
    const scope: Scope = { graph, outer, initializers, makers };
    scopes.push(scope);
    for (const { g, graphs } of graph.node.flatMap(({ attribute }) => attribute)) {
      for (const inner of g === undefined ? graphs : [g, ...graphs]) visit(inner, scope);
    }
  };
  if (graph !== undefined) visit(graph, undefined);
  return scopes;
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
