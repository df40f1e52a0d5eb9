/** ONNX models of every kind for tests, made by hand, and ONNX Runtime, which computes them. */

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { type BatchNorm, Tensor } from '../../lib/index';
import {
  ATTRIBUTE,
  type AttributeSchema,
  DATA_TYPE,
  ModelSchema,
  type NodeSchema,
  type TensorSchema,
  type ValueInfoSchema,
} from '../../lib/interop/onnx/schema';
import { device } from '../helpers/device';

/** What a message is made from: its fields, not a message that is already there. */
type Fields<T> = Extract<T, { readonly $typeName?: never }>;
export type ModelInit = Fields<MessageInitShape<typeof ModelSchema>>;
export type GraphInit = Fields<ModelInit['graph']>;
export type NodeInit = Fields<MessageInitShape<typeof NodeSchema>>;
export type TensorInit = Fields<MessageInitShape<typeof TensorSchema>>;
export type AttributeInit = Fields<MessageInitShape<typeof AttributeSchema>>;
export type ValueInit = Fields<MessageInitShape<typeof ValueInfoSchema>>;

export const float = (name: string, f: number): AttributeInit => ({ name, type: ATTRIBUTE.float, f });
export const integer = (name: string, i: number): AttributeInit => ({ name, type: ATTRIBUTE.int, i: BigInt(i) });

/** Of shape [length], its elements as raw float32. */
export function initializer(name: string, values: readonly number[]): TensorInit {
  const rawData = new Uint8Array(Float32Array.from(values).buffer);
  return { name, dims: [BigInt(values.length)], dataType: DATA_TYPE.float32, rawData };
}

export const INPUTS = ['x', 's', 'b', 'm', 'v'];

/** A batch norm named `norm` of x, s, b, m and v, which makes y. */
export function batchNormNode(more: Partial<NodeInit> = {}): NodeInit {
  return { opType: 'BatchNormalization', name: 'norm', input: INPUTS, output: ['y'], ...more };
}

export const FOUR: readonly TensorInit[] = [
  initializer('s', [1.5, -2]),
  initializer('b', [0.25, 3]),
  initializer('m', [10, -1]),
  initializer('v', [4, 0.5]),
];

/** With `replaced` in the place of the initializer of that name. */
export const fourWith = (replaced: TensorInit): TensorInit[] => FOUR.map((tensor) => (tensor.name === replaced.name ? replaced : tensor));

/** Of a graph's input or output; sizes that are names are free. */
export function valueInfo(name: string, elemType: number, shape: readonly (number | string)[]): ValueInit {
  const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: BigInt(size) }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/** A whole model of x, [n, 2, l], to y. */
export function modelBytes(graph: GraphInit = {}, more: ModelInit = {}, elemType: number = DATA_TYPE.float32): Uint8Array {
  return toBinary(
    ModelSchema,
    create(ModelSchema, {
      irVersion: 8n,
      opsetImport: [{ version: 15n }],
      ...more,
      graph: {
        name: 'graph',
        node: [batchNormNode()],
        initializer: [...FOUR],
        input: [valueInfo('x', elemType, ['n', 2, 'l'])],
        output: [valueInfo('y', elemType, ['n', 2, 'l'])],
        ...graph,
      },
    }),
  );
}

type Values = Float32Array | Float64Array;

/** The first output for the first input, by ONNX Runtime. */
export async function runOnnx(model: Uint8Array | string, values: Values, shape: readonly number[]): Promise<Values> {
  const session = await InferenceSession.create(model as string, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  try {
    const input = new OnnxTensor(values instanceof Float64Array ? 'float64' : 'float32', values, shape);
    const results = await session.run({ [session.inputNames[0]!]: input });
    return results[session.outputNames[0]!]!.data as Values;
  } finally {
    await session.release();
  }
}

/** The largest magnitude, but not less than `least`. */
export const largest = (values: Values, least: number): number =>
  Float64Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), least);

/** The layer's output, in the mode it is in. */
export async function runLayer(layer: BatchNorm, values: Values, shape: readonly number[]): Promise<Values> {
  using input = Tensor.from(values, shape, { device });
  using output = layer.forward(input);
  return output.read();
}
