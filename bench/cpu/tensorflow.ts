/** TensorFlow.js with its wasm backend: inference and training forward. */

import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { type Contender, timeCalls } from './contender';
import { EPS, inputOf, parametersOf } from './data';
import { memoryShape, type Problem } from './problem';

/** y = γ·(x − mean)/√(variance + eps) + β, in the fewest operations this backend computes it right with. */
function normalize(problem: Problem, x: tf.Tensor4D, mean: tf.Tensor, variance: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor {
  if (problem.layout === 'channels last') {
    const [m, v, g, b] = [mean, variance, weight, bias].map((tensor) => tensor.as1D());
    return tf.batchNorm4d(x, m!, v!, b!, g!, EPS);
  }
  // Its batchNorm4d assumes channels last and answers wrongly for parameters of shape [1, C, 1, 1].
  const scale = weight.div(variance.add(EPS).sqrt());
  return x.mul(scale).add(bias.sub(mean.mul(scale)));
}

export function makeTensors(problem: Problem) {
  const channels = problem.shape[1];
  const first = problem.layout === 'channels first';
  const { mean, variance, weight, bias } = parametersOf(problem);
  const parameter = (values: Float32Array) => tf.tensor(values, first ? [1, channels, 1, 1] : [1, 1, 1, channels]);
  const x = tf.tensor4d(inputOf(problem), memoryShape(problem));
  const [m, v, g, b] = [mean, variance, weight, bias].map(parameter) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  return {
    inference: () => tf.tidy(() => normalize(problem, x, m, v, g, b)),
    trainingForward: () =>
      tf.tidy(() => {
        const batch = tf.moments(x, first ? [0, 2, 3] : [0, 1, 2], true);
        return normalize(problem, x, batch.mean, batch.variance, g, b);
      }),
    release: () => tf.dispose([x, m, v, g, b]),
  };
}

export async function startTensorFlow(): Promise<Contender> {
  await tf.setBackend('wasm');
  const threads = (await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT'))
    ? 'its default number of threads'
    : '1 thread (no more under Node)';
  return {
    name: 'TensorFlow.js wasm',
    version: tf.version.tfjs,
    note: `${threads}; outputs disposed at once, so that its memory is reused; running statistics are not updated; channels first by mul and add`,
    operations: ['inference', 'trainingForward'],
    prepare: async (problem) => {
      const tensors = makeTensors(problem);
      return {
        burst: (operation, calls) => timeCalls(calls, () => tensors[operation as 'inference' | 'trainingForward']().dispose()),
        release: tensors.release,
      };
    },
    close: () => {},
  };
}
