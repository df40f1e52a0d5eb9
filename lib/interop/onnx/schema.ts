/**
 * The part of onnx.proto that is looked into, by its names and field numbers. What is not declared here, a model keeps: fields unknown to the
 * schema are held as bytes when a message is read, and written again with it.
 */

import './peer';
import { create, createFileRegistry, type Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  Edition,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';

/** A whole file. */
export interface ModelProto extends Message<'onnx.ModelProto'> {
  irVersion: bigint;
  producerName: string;
  graph?: GraphProto;
  opsetImport: OperatorSetIdProto[];
}

/** Which version of a domain's operators the nodes are meant in. */
export interface OperatorSetIdProto extends Message<'onnx.OperatorSetIdProto'> {
  /** Empty for ONNX's own operators. */
  domain: string;
  version: bigint;
}

/** Nodes in the order in which they are computed, and the constants among their inputs. */
export interface GraphProto extends Message<'onnx.GraphProto'> {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
}

/** An operation on named values. */
export interface NodeProto extends Message<'onnx.NodeProto'> {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  domain: string;
  attribute: AttributeProto[];
}

/** A setting of a node, one of the values by its type. */
export interface AttributeProto extends Message<'onnx.AttributeProto'> {
  name: string;
  /** Of the function's attribute that stands here instead of a value. */
  refAttrName: string;
  type: number;
  f: number;
  i: bigint;
  t?: TensorProto;
  g?: GraphProto;
  floats: number[];
  ints: bigint[];
  graphs: GraphProto[];
}

/** A constant. Its elements are in `rawData`, or in the array for its type, or in another file. */
export interface TensorProto extends Message<'onnx.TensorProto'> {
  dims: bigint[];
  dataType: number;
  name: string;
  rawData: Uint8Array;
  floatData: number[];
  int32Data: number[];
  doubleData: number[];
  externalData: StringStringEntryProto[];
  dataLocation: number;
}

/** A key and its value. */
export interface StringStringEntryProto extends Message<'onnx.StringStringEntryProto'> {
  key: string;
  value: string;
}

/** Name and type of a graph's input or output. */
export interface ValueInfoProto extends Message<'onnx.ValueInfoProto'> {
  name: string;
  type?: TypeProto;
}

interface TypeProto extends Message<'onnx.TypeProto'> {
  tensorType?: TensorTypeProto;
}

interface TensorTypeProto extends Message<'onnx.TypeProto.Tensor'> {
  elemType: number;
  shape?: TensorShapeProto;
}

interface TensorShapeProto extends Message<'onnx.TensorShapeProto'> {
  dim: DimensionProto[];
}

interface DimensionProto extends Message<'onnx.TensorShapeProto.Dimension'> {
  /** The size, where it is known. */
  dimValue: bigint;
  /** A name for the size, where it is free. */
  dimParam: string;
}

/** AttributeProto.AttributeType. */
export const ATTRIBUTE = { float: 1, int: 2, ints: 7 } as const;
/** TensorProto.DataType, of the types that a batch norm's parameters have. */
export const DATA_TYPE = { float32: 1, float16: 10, float64: 11, bfloat16: 16 } as const;
/** TensorProto.DataLocation. */
export const EXTERNAL = 1;

type FieldType = Type | string;

function field(name: string, number: number, type: FieldType, label = Label.OPTIONAL) {
  const ofType = typeof type === 'string' ? { type: Type.MESSAGE, typeName: `.onnx.${type}` } : { type };
  return create(FieldDescriptorProtoSchema, { name, number, label, ...ofType });
}

const repeated = (name: string, number: number, type: FieldType) => field(name, number, type, Label.REPEATED);

function message(name: string, ...parts: (DescriptorProto | ReturnType<typeof field>)[]): DescriptorProto {
  const nestedType = parts.filter((part) => part.$typeName === 'google.protobuf.DescriptorProto');
  const fields = parts.filter((part) => part.$typeName === 'google.protobuf.FieldDescriptorProto');
  return create(DescriptorProtoSchema, { name, field: fields, nestedType });
}

const MESSAGES = [
  message(
    'ModelProto',
    field('ir_version', 1, Type.INT64),
    field('producer_name', 2, Type.STRING),
    field('graph', 7, 'GraphProto'),
    repeated('opset_import', 8, 'OperatorSetIdProto'),
  ),
  message('OperatorSetIdProto', field('domain', 1, Type.STRING), field('version', 2, Type.INT64)),
  message(
    'GraphProto',
    repeated('node', 1, 'NodeProto'),
    field('name', 2, Type.STRING),
    repeated('initializer', 5, 'TensorProto'),
    repeated('input', 11, 'ValueInfoProto'),
    repeated('output', 12, 'ValueInfoProto'),
  ),
  message(
    'NodeProto',
    repeated('input', 1, Type.STRING),
    repeated('output', 2, Type.STRING),
    field('name', 3, Type.STRING),
    field('op_type', 4, Type.STRING),
    repeated('attribute', 5, 'AttributeProto'),
    field('domain', 7, Type.STRING),
  ),
  message(
    'AttributeProto',
    field('name', 1, Type.STRING),
    field('f', 2, Type.FLOAT),
    field('i', 3, Type.INT64),
    field('t', 5, 'TensorProto'),
    field('g', 6, 'GraphProto'),
    repeated('floats', 7, Type.FLOAT),
    repeated('ints', 8, Type.INT64),
    repeated('graphs', 11, 'GraphProto'),
    field('type', 20, Type.INT32),
    field('ref_attr_name', 21, Type.STRING),
  ),
  message(
    'TensorProto',
    repeated('dims', 1, Type.INT64),
    field('data_type', 2, Type.INT32),
    repeated('float_data', 4, Type.FLOAT),
    repeated('int32_data', 5, Type.INT32),
    field('name', 8, Type.STRING),
    field('raw_data', 9, Type.BYTES),
    repeated('double_data', 10, Type.DOUBLE),
    repeated('external_data', 13, 'StringStringEntryProto'),
    field('data_location', 14, Type.INT32),
  ),
  message('StringStringEntryProto', field('key', 1, Type.STRING), field('value', 2, Type.STRING)),
  message('ValueInfoProto', field('name', 1, Type.STRING), field('type', 2, 'TypeProto')),
  message(
    'TypeProto',
    field('tensor_type', 1, 'TypeProto.Tensor'),
    message('Tensor', field('elem_type', 1, Type.INT32), field('shape', 2, 'TensorShapeProto')),
  ),
  message(
    'TensorShapeProto',
    repeated('dim', 1, 'TensorShapeProto.Dimension'),
    message('Dimension', field('dim_value', 1, Type.INT64), field('dim_param', 2, Type.STRING)),
  ),
];

// Edition 2023 as it is by default: whether a field was set is kept, and text that is not UTF-8 is an error instead of being changed.
const file = create(FileDescriptorProtoSchema, {
  name: 'onnx.proto',
  package: 'onnx',
  syntax: 'editions',
  edition: Edition.EDITION_2023,
  messageType: MESSAGES,
});
const registry = createFileRegistry(file, () => undefined);

// The interfaces above say of the messages what the registry says at run time.
const schema = <Shape extends Message>(name: Shape['$typeName']) => registry.getMessage(name)! as unknown as GenMessage<Shape>;

export const ModelSchema = schema<ModelProto>('onnx.ModelProto');
export const NodeSchema = schema<NodeProto>('onnx.NodeProto');
export const AttributeSchema = schema<AttributeProto>('onnx.AttributeProto');
export const TensorSchema = schema<TensorProto>('onnx.TensorProto');
export const ValueInfoSchema = schema<ValueInfoProto>('onnx.ValueInfoProto');
