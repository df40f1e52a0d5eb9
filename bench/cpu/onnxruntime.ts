/** onnxruntime-node: inference with one BatchNormalization node, into output memory given beforehand. */

import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeOnnx } from '../../lib/interop/onnx';
import { type Contender, timeCalls } from './contender';
import { EPS, inputOf, parametersOf } from './data';
import { elements, type Problem } from './problem';

/** ONNX knows channels first only; channels last is the matrix [N·H·W, C], whose channels are its axis 1 again. */
function onnxShape({ shape: [n, c, h, w], layout }: Problem): number[] {
  return layout === 'channels first' ? [n, c, h, w] : [n * h * w, c];
}

function modelOf(problem: Problem): Promise<Uint8Array> {
  const { weight, bias, mean, variance } = parametersOf(problem);
  const entry = (data: Float32Array) => ({ dtype: 'float32', shape: [data.length], data });
  const state = { weight: entry(weight), bias: entry(bias), running_mean: entry(mean), running_var: entry(variance) };
  return encodeOnnx(state, { shape: onnxShape(problem), eps: EPS });
}

export async function openSession(problem: Problem, threads: number) {
  const shape = onnxShape(problem);
  const session = await InferenceSession.create(await modelOf(problem), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // Its threads spin during a call, but must not go on while others are timed.
    extra: { session: { force_spinning_stop: '1' } },
  });
  const input = new Tensor('float32', inputOf(problem), shape);
  const output = new Float32Array(elements(problem));
  const fetches = { output: new Tensor('float32', output, shape) };
  const run = async () => {
    await session.run({ input }, fetches);
  };
  return { run, output, release: () => session.release() };
}

export function onnxRuntime(threads: number): Contender {
  return {
    name: 'onnxruntime-node',
    version: env.versions.node ?? env.versions.common,
    note: `${threads} threads; output memory given as fetches; each call awaited, as its API has it; channels last as the matrix [N·H·W, C]`,
    operations: ['inference'],
    prepare: async (problem) => {
      const { run, release } = await openSession(problem, threads);
      return { burst: (_operation, calls) => timeCalls(calls, run), release };
    },
    close: () => {},
  };
}
