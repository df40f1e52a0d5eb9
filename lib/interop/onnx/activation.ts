/** Our activations in ONNX's operators. */

import type { Activation } from '../../activation';
import type { GraphBuilder } from './builder';

/** Since this version of its operators ONNX has one for it. */
const GELU = 20;

/** Adds what computes the activation of the value of that name; the name of the result. */
export function addActivation(graph: GraphBuilder, activation: Activation, input: string, opset: number): string {
  switch (activation) {
    case 'identity':
      return input;
    case 'relu':
      return graph.add('Relu', [input]);
    case 'leakyRelu':
      return graph.add('LeakyRelu', [input], { alpha: 0.01 });
    case 'elu':
      return graph.add('Elu', [input], { alpha: 1 });
    case 'sigmoid':
      return graph.add('Sigmoid', [input]);
    case 'tanh':
      return graph.add('Tanh', [input]);
    case 'silu':
      return graph.add('Mul', [input, graph.add('Sigmoid', [input])]);
    case 'gelu':
      return opset >= GELU ? graph.add('Gelu', [input]) : addGelu(graph, input);
  }
}

/** x/2·(1 + erf(x/√2)), the exact one. */
function addGelu(graph: GraphBuilder, input: string): string {
  const error = graph.add('Erf', [graph.add('Mul', [input, graph.constant(Math.SQRT1_2)])]);
  const half = graph.add('Mul', [input, graph.constant(0.5)]);
  return graph.add('Mul', [half, graph.add('Add', [error, graph.constant(1)])]);
}
