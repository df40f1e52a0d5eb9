/** A graph in the making: nodes one after another, each named after the values it makes. */

import { create } from '@bufbuild/protobuf';
import type { HostValues, ParameterDType } from '../../dtype';
import { ATTRIBUTE, AttributeSchema, type NodeProto, NodeSchema, type TensorProto, type ValueInfoProto, ValueInfoSchema } from './schema';
import { tensorOf } from './tensor';

/** Settings of a node: numbers are ONNX's floats, arrays its ints. */
export type Attributes = Readonly<Record<string, number | readonly number[]>>;

export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly #name: string;
  readonly #dtype: ParameterDType;

  /** @param name - what names of values begin with. @param dtype - of all values. */
  constructor(name: string, dtype: ParameterDType) {
    this.#name = name;
    this.#dtype = dtype;
  }

  /** Adds a node; the name of its output. */
  add(opType: string, inputs: readonly string[], attributes: Attributes = {}, name = ''): string {
    const output = `${this.#name}.value_${this.nodes.length}`;
    const attribute = Object.entries(attributes).map(([name, value]) =>
      typeof value === 'number'
        ? create(AttributeSchema, { name, type: ATTRIBUTE.float, f: value })
        : create(AttributeSchema, { name, type: ATTRIBUTE.ints, ints: value.map(BigInt) }),
    );
    this.nodes.push(create(NodeSchema, { name: name || output, opType, input: [...inputs], output: [output], attribute }));
    return output;
  }

  /** Adds an initializer with these elements; its name. */
  parameter(name: string, values: HostValues): string {
    const tensor = tensorOf(`${this.#name}.${name}`, values, this.#dtype);
    this.initializers.push(tensor);
    return tensor.name;
  }

  /** Adds an initializer of one number, without dimensions; its name. */
  constant(value: number): string {
    const tensor = tensorOf(`${this.#name}.constant_${this.initializers.length}`, Float64Array.of(value), this.#dtype, []);
    this.initializers.push(tensor);
    return tensor.name;
  }
}

/** Name and type of a value; free sizes of one name are the same size. */
export function valueInfo(name: string, elemType: number, shape: readonly (number | null)[]): ValueInfoProto {
  const dim = shape.map((size, i) => (size === null ? { dimParam: `size_${i}` } : { dimValue: BigInt(size) }));
  return create(ValueInfoSchema, { name, type: { tensorType: { elemType, shape: { dim } } } });
}
