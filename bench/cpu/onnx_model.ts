/** An ONNX model of one batch norm in inference, encoded by the field numbers of onnx.proto. */

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Parameters } from './data';

const FLOAT = 1; // both TensorProto.DataType.FLOAT and AttributeProto.AttributeType.FLOAT
const INFERENCE_INPUTS = ['input', 'weight', 'bias', 'mean', 'variance'];

type Message = (writer: BinaryWriter) => void;

const message =
  (field: number, content: Message): Message =>
  (writer) => {
    content(writer.tag(field, WireType.LengthDelimited).fork());
    writer.join();
  };
const text =
  (field: number, value: string): Message =>
  (writer) =>
    writer.tag(field, WireType.LengthDelimited).string(value);
const bytes =
  (field: number, value: Uint8Array): Message =>
  (writer) =>
    writer.tag(field, WireType.LengthDelimited).bytes(value);
const integer =
  (field: number, value: number): Message =>
  (writer) =>
    writer.tag(field, WireType.Varint).int64(value);
const float =
  (field: number, value: number): Message =>
  (writer) =>
    writer.tag(field, WireType.Bit32).float(value);
const all =
  (...parts: Message[]): Message =>
  (writer) => {
    for (const part of parts) part(writer);
  };

/** A TensorProto. */
function constant(name: string, values: Float32Array): Message {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return all(integer(1, values.length), integer(2, FLOAT), text(8, name), bytes(9, data));
}

/** A ValueInfoProto of a float32 tensor. */
function value(name: string, shape: readonly number[]): Message {
  const dimensions = shape.map((size) => message(1, integer(1, size)));
  return all(text(1, name), message(2, message(1, all(integer(1, FLOAT), message(2, all(...dimensions))))));
}

/** The channel axis of ONNX is always 1. */
export function batchNormModel(shape: readonly number[], { weight, bias, mean, variance }: Parameters, eps: number): Uint8Array {
  const epsilon = all(text(1, 'epsilon'), float(2, eps), integer(20, FLOAT));
  const node = all(...INFERENCE_INPUTS.map((name) => text(1, name)), text(2, 'output'), text(4, 'BatchNormalization'), message(5, epsilon));
  const graph = all(
    message(1, node),
    text(2, 'batch_norm'),
    ...Object.entries({ weight, bias, mean, variance }).map(([name, values]) => message(5, constant(name, values))),
    message(11, value('input', shape)),
    message(12, value('output', shape)),
  );
  const writer = new BinaryWriter();
  all(integer(1, 8), message(7, graph), message(8, integer(2, 15)))(writer); // IR version 8, operator set 15
  return writer.finish();
}
