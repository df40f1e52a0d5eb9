/** Greatest error of the training output against float64 where the mean is far from zero: see HELP. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { BatchNorm, Tensor } from '../../lib/index';
import { batchStatistics, forward, viewOf } from '../../lib/validation/oracle';
import { alignColumns } from '../cpu/table';

const HELP = `Usage: npm run bench:accuracy -- [options]

Prints the greatest error of the training output, against float64, on 32×16×28×28 float32 data of deviation 1 and several means.
Ends with status 1 where ours is greater than the target.

  --json   print JSON instead of a table
  --help   this text

Environment: BENCH_PYTHON=/path/python names a Python with torch, for PyTorch's columns.
`;

const SHAPE: readonly [number, number, number, number] = [32, 16, 28, 28];
const MEANS = [0, 1e3, 1e5, 1e6];
const TARGET = 2e-6;
const EPS = 1e-5;
const OURS = ['ours, channels first', 'ours, channels last'];

type Errors = Record<string, number>;

/** Normally distributed (Box and Muller's transform), from a fixed seed, rounded to float32 after the mean was added. */
function normalValues(count: number, mean: number): Float32Array {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => mean + Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** From [N, C, H, W] to [N, H, W, C], or back. */
function reorder(values: Float32Array, direction: 'to channels last' | 'to channels first'): Float32Array {
  const [n, c, h, w] = SHAPE;
  const area = h * w;
  const result = new Float32Array(values.length);
  for (let image = 0; image < n; image++) {
    for (let channel = 0; channel < c; channel++) {
      for (let pixel = 0; pixel < area; pixel++) {
        const first = (image * c + channel) * area + pixel;
        const last = (image * area + pixel) * c + channel;
        if (direction === 'to channels last') result[last] = values[first]!;
        else result[first] = values[last]!;
      }
    }
  }
  return result;
}

/** Runs `normalize` on the data as channels last. */
async function channelsLast(values: Float32Array, normalize: (values: Float32Array, shape: number[]) => Promise<Float32Array>) {
  const [n, c, h, w] = SHAPE;
  return reorder(await normalize(reorder(values, 'to channels last'), [n, h, w, c]), 'to channels first');
}

async function ours(values: Float32Array, shape: readonly number[], axis: number): Promise<Float32Array> {
  using layer = new BatchNorm(SHAPE[1], { eps: EPS, axis, device: 'cpu' });
  using input = Tensor.from(values, shape, { device: 'cpu' });
  using output = layer.forward(input, { saveForBackward: false });
  return (await output.read()) as Float32Array;
}

async function tensorFlow(values: Float32Array, shape: number[]): Promise<Float32Array> {
  const output = tf.tidy(() => {
    const x = tf.tensor4d(values, shape as [number, number, number, number]);
    const { mean, variance } = tf.moments(x, [0, 1, 2]);
    return tf.batchNorm4d(x, mean as tf.Tensor1D, variance as tf.Tensor1D, undefined, undefined, EPS);
  });
  const result = (await output.data()) as Float32Array;
  output.dispose();
  return result;
}

function pyTorch(python: string, values: Float32Array): { first: Float32Array; last: Float32Array } {
  const bytes = values.byteLength;
  const output = execFileSync(python, [join(__dirname, 'pytorch.py'), ...SHAPE.map(String)], {
    input: new Uint8Array(values.buffer),
    maxBuffer: 3 * bytes,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const both = new Float32Array(new Uint8Array(output).buffer);
  return { first: both.subarray(0, values.length), last: both.subarray(values.length) };
}

async function errorsAt(mean: number, python: string | undefined): Promise<Errors> {
  const values = normalValues(
    SHAPE.reduce((product, size) => product * size),
    mean,
  );
  const view = viewOf(SHAPE);
  const statistics = batchStatistics(values, view);
  const expected = forward(values, view, statistics, { eps: EPS });
  const error = (output: ArrayLike<number>) => expected.reduce((worst, value, i) => Math.max(worst, Math.abs(value - output[i]!)), 0);

  const errors: Errors = {};
  if (python) {
    const { first, last } = pyTorch(python, values);
    errors['PyTorch, channels first'] = error(first);
    errors['PyTorch, channels last'] = error(last);
  }
  errors['TensorFlow.js wasm'] = error(await channelsLast(values, tensorFlow));
  const rounded = { mean: Float32Array.from(statistics.mean), variance: statistics.variance };
  errors['one rounded mean, all else exact'] = error(forward(values, view, rounded, { eps: EPS }));
  errors[OURS[0]!] = error(await ours(values, SHAPE, 1));
  errors[OURS[1]!] = error(await channelsLast(values, (data, shape) => ours(data, shape, -1)));
  return errors;
}

function table(rows: readonly { mean: number; errors: Errors; met: boolean }[]): string {
  const columns = Object.keys(rows[0]!.errors);
  return alignColumns(
    [
      ['mean', ...columns, 'target'],
      ...rows.map(({ mean, errors, met }) => [
        mean === 0 ? '0' : mean.toExponential(0).replace('+', ''),
        ...columns.map((column) => errors[column]!.toExponential(1)),
        `${TARGET} ${met ? 'met' : 'MISSED'}`,
      ]),
    ],
    1,
  ).join('\n');
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({ options: { json: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const python = process.env.BENCH_PYTHON;
  if (!python) console.error('PyTorch is left out: BENCH_PYTHON names no Python with torch');
  await tf.setBackend('wasm');
  const rows: { mean: number; errors: Errors; met: boolean }[] = [];
  for (const mean of MEANS) {
    const errors = await errorsAt(mean, python);
    rows.push({ mean, errors, met: OURS.every((column) => errors[column]! <= TARGET) });
  }
  if (options.json) {
    console.log(JSON.stringify({ shape: SHAPE, eps: EPS, target: TARGET, rows }, null, 2));
  } else {
    console.log(`Greatest output error against float64, training on ${SHAPE.join('×')} float32 data of deviation 1\n`);
    console.log(table(rows));
  }
  if (!rows.every(({ met }) => met)) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
