/** Each value counts once, however the rows are cut into blocks, groups and vectors: sums of small integers, which are exact. */

import { expect } from 'chai';
import { Tensor } from '../lib/index';
import { device, emulated } from './helpers/device';
import { layerOf } from './helpers/layer';
import { uniform } from './helpers/random';
import { expectSame } from './helpers/within';

/** All small numbers of rows, and those on both sides of where blocks of rows end. */
const ROWS = emulated
  ? [1, 2, 7, 33, 257, 259, 511]
  : [
      ...Array.from({ length: 40 }, (_, i) => i + 1),
      ...[64, 128, 256, 384, 512, 768, 1024].flatMap((end) => Array.from({ length: 13 }, (_, i) => end - 6 + i)),
    ];
const MOST_ROWS = Math.max(...ROWS);

/** [rows, channels, inner]: rows far shorter than a page of memory, longer, and a few of which fill one; single values, short runs and long ones. */
const ROW_SHAPES = [
  [1, 1],
  [3, 1],
  [40, 1],
  [257, 1],
  [770, 1],
  [1100, 1],
  [3, 20],
  [9, 49],
  [2, 138],
  [5, 300],
] as const;

/** -4 … 4, from a seed. */
function integers(count: number, seed: number): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length: count }, () => Math.floor(next() * 9) - 4);
}

/** For each channel the sum of term(element) over the first `rows` rows, for each of the ROWS. */
function sumsAfter(channels: number, inner: number, term: (i: number) => number): Map<number, number[]> {
  const wanted = new Set(ROWS);
  const sums = new Map<number, number[]>();
  const running = new Array<number>(channels).fill(0);
  for (let row = 0, i = 0; row < MOST_ROWS; row++) {
    for (let c = 0; c < channels; c++) for (let k = 0; k < inner; k++, i++) running[c]! += term(i);
    if (wanted.has(row + 1)) sums.set(row + 1, [...running]);
  }
  return sums;
}

/** Parameters and running statistics with which the output is the input. */
const untouched = (channels: number) => ({
  weight: new Float64Array(channels).fill(1),
  bias: new Float64Array(channels),
  eps: 0.5,
  runningVar: new Float64Array(channels).fill(0.5),
});

describe('sums over rows', () => {
  for (const [channels, inner] of ROW_SHAPES) {
    it(`count each of [rows, ${channels}, ${inner}] once, for ${ROWS.length} numbers of rows`, async () => {
      const perRow = channels * inner;
      const x = integers(MOST_ROWS * perRow, 1);
      const dy = integers(MOST_ROWS * perRow, 2);
      const sumX = sumsAfter(channels, inner, (i) => x[i]!);
      const sumDy = sumsAfter(channels, inner, (i) => dy[i]!);
      const sumBoth = sumsAfter(channels, inner, (i) => dy[i]! * x[i]!);
      for (const rows of ROWS) {
        const shape = [rows, channels, inner];
        using input = Tensor.from(x.subarray(0, rows * perRow), shape, { device });
        using gradOutput = Tensor.from(dy.subarray(0, rows * perRow), shape, { device });
        // Mean 0 and variance 1 - eps: what is normalized is the input.
        using layer = layerOf({ ...untouched(channels), shape, x: [], momentum: 1, training: false });
        using output = layer.forward(input, { saveForBackward: true });
        const gradients = layer.backward(gradOutput);
        using weight = gradients.weight!;
        using bias = gradients.bias!;
        gradients.input.dispose();
        expectSame(await output.read(), x.subarray(0, rows * perRow), `output of ${rows} rows`);
        expectSame(await bias.read(), sumDy.get(rows)!, `gradient of the bias over ${rows} rows`);
        expectSame(await weight.read(), sumBoth.get(rows)!, `gradient of the weight over ${rows} rows`);
        if (rows * inner === 1) continue;
        layer.train();
        layer.forward(input, { saveForBackward: false }).dispose();
        const mean = await layer.runningMean!.read();
        sumX.get(rows)!.forEach((sum, c) => {
          expect(mean[c]! * rows * inner, `sum of channel ${c} over ${rows} rows`).to.be.closeTo(sum, 0.1);
        });
      }
    });
  }
});
