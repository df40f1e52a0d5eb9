/** The reference is itself held against exact rational arithmetic, published values and finite differences. */

import { expect } from 'chai';
import { bfloat16FromBits, DTYPES, float16FromBits, lastPlace, round, smallestSubnormal } from '../lib/validation/number_format';
import {
  ACTIVATIONS,
  activation,
  backward,
  batchStatistics,
  derivative,
  erfc,
  forEachOfChannel,
  forward,
  type Layer,
  storedVariance,
  updateRunning,
  viewOf,
} from '../lib/validation/oracle';
import { normals } from './helpers/random';

/** Mean and biased variance as ratios of integers: no rounding until the quotient. Inputs are multiples of 2^-40. */
function exactStatistics(values: ArrayLike<number>): { sum: bigint; mean: number; variance: number } {
  const integers = Array.from(values, (v) => BigInt(v * 2 ** 40));
  const count = BigInt(integers.length);
  const sum = integers.reduce((a, b) => a + b, 0n);
  const squares = integers.reduce((a, b) => a + (count * b - sum) ** 2n, 0n);
  const quotient = (numerator: bigint, denominator: bigint): number => Number((numerator << 80n) / denominator) / 2 ** 80;
  return { sum, mean: quotient(sum, count << 40n), variance: quotient(squares, (count ** 3n) << 80n) };
}

describe('the reference', () => {
  for (const mean of [0, 1e3, 1e6, 1e8]) {
    it(`has the exact statistics of data of mean ${mean} and deviation 1`, () => {
      const x = normals(6000, 1, mean, 1).map((v) => Math.round(v * 2 ** 20) / 2 ** 20);
      const view = viewOf([1000, 2, 3]);
      const statistics = batchStatistics(x, view);
      for (let c = 0; c < 2; c++) {
        const channel: number[] = [];
        forEachOfChannel(view, c, (i) => channel.push(x[i]!));
        const exact = exactStatistics(channel);
        expect(Math.abs(statistics.variance[c]! / exact.variance - 1)).to.be.at.most(4e-16);
        expect(statistics.mean[c]).to.be.closeTo(exact.mean, lastPlace(exact.mean, 'float64'));
        // The pair: what the high part misses, in units of 2^-120 to keep it an integer.
        const missing = (exact.sum << 80n) - BigInt(statistics.mean[c]! * 2 ** 120) * BigInt(channel.length);
        const low = Number(missing / BigInt(channel.length)) / 2 ** 120;
        expect(Math.abs(statistics.meanLow[c]! - low)).to.be.at.most(1e-12 * Math.abs(low) + 1e-27);
      }
    });
  }

  it('views a tensor of any rank and axis as [outer, channels, inner]', () => {
    expect(viewOf([2, 3, 4, 5])).to.deep.equal({ outer: 2, channels: 3, inner: 20 });
    expect(viewOf([2, 3, 4, 5], -1)).to.deep.equal({ outer: 24, channels: 5, inner: 1 });
    expect(viewOf([2, 3, 4, 5], 0)).to.deep.equal({ outer: 1, channels: 2, inner: 60 });
    expect(viewOf([7, 3])).to.deep.equal({ outer: 7, channels: 3, inner: 1 });
    const seen: number[] = [];
    forEachOfChannel({ outer: 2, channels: 3, inner: 2 }, 1, (i) => seen.push(i));
    expect(seen).to.deep.equal([2, 3, 8, 9]);
  });

  it('computes erfc to a few units in the last place', () => {
    // Abramowitz and Stegun, table 7.1, and Wolfram's digits further out.
    const known: [number, number][] = [
      [0, 1],
      [0.5, 0.4795001221869535],
      [1, 0.15729920705028513],
      [2, 0.004677734981047266],
      [1.99, 0.004888586800383003],
      [3, 2.209049699858544e-5],
      [5, 1.5374597944280349e-12],
      [10, 2.088487583762545e-45],
      [-1, 1.8427007929497148],
    ];
    for (const [x, value] of known) expect(Math.abs(erfc(x) / value - 1), `erfc(${x})`).to.be.at.most(2e-15 * (1 + x * x)); // exp(−x²) takes x² rounded
  });

  for (const kind of ACTIVATIONS) {
    it(`has the derivative of ${kind}`, () => {
      const f = activation(kind);
      const slope = derivative(kind);
      const h = 1e-5;
      for (let x = -8.07; x < 8; x += 0.11) expect(slope(x)).to.be.closeTo((f(x + h) - f(x - h)) / (2 * h), 1e-9);
    });

    for (const training of [true, false]) {
      it(`has the gradients of ${kind} in ${training ? 'training' : 'inference'}`, () => {
        const view = viewOf([3, 2, 2]);
        const x = normals(12, 2);
        const dy = normals(12, 3);
        const layer: Required<Layer> = { weight: [1.5, -0.7], bias: [0.3, 0.1], residual: normals(12, 4), activation: kind, eps: 0.1 };
        const given = { mean: [0.2, -0.1], variance: [0.8, 1.3] };
        const loss = (values: Float64Array, parameters: Layer): number =>
          forward(values, view, training ? batchStatistics(values, view) : given, parameters).reduce((sum, y, i) => sum + y * dy[i]!, 0);
        const gradients = backward(dy, x, view, training ? batchStatistics(x, view) : given, !training, layer);
        const check = (values: ArrayLike<number>, gradient: Float64Array, lossOf: (moved: Float64Array) => number): void => {
          const h = 1e-5;
          gradient.forEach((g, i) => {
            const moved = (d: number): Float64Array => Float64Array.from(values, (v, j) => (i === j ? v + d : v));
            expect(g).to.be.closeTo((lossOf(moved(h)) - lossOf(moved(-h))) / (2 * h), 1e-8);
          });
        };
        check(x, gradients.input, (moved) => loss(moved, layer));
        check(layer.weight!, gradients.weight, (weight) => loss(x, { ...layer, weight }));
        check(layer.bias!, gradients.bias, (bias) => loss(x, { ...layer, bias }));
        check(layer.residual!, gradients.residual, (residual) => loss(x, { ...layer, residual }));
      });
    }
  }

  it('updates running statistics by convention', () => {
    expect([...updateRunning([1, 10], [2, 0], 0.25)]).to.deep.equal([1.25, 7.5]);
    expect([...storedVariance([3], viewOf([4, 1]), 'unbiased')]).to.deep.equal([4]);
    expect([...storedVariance([3], viewOf([4, 1]), 'biased')]).to.deep.equal([3]);
    expect([...storedVariance([0], viewOf([1, 1]), 'unbiased')]).to.deep.equal([0]);
  });
});

describe('rounding in the tests', () => {
  const everyPattern = Array.from({ length: 0x10000 }, (_, bits) => bits);
  for (const [dtype, fromBits] of [['float16', float16FromBits] as const, ['bfloat16', bfloat16FromBits] as const]) {
    it(`keeps every ${dtype} and rounds between neighbours to nearest even`, () => {
      for (const bits of everyPattern) {
        const value = fromBits(bits);
        if (Number.isNaN(value)) continue;
        if (round(value, dtype) !== value) throw new Error(`${value} became ${round(value, dtype)}`);
        const next = fromBits(bits + 1);
        if ((bits & 0x7fff) === 0x7fff || !Number.isFinite(next) || !Number.isFinite(value)) continue;
        const middle = (value + next) / 2;
        const even = bits % 2 === 0 ? value : next;
        const beside = (value * 3 + next) / 4;
        if (round(middle, dtype) !== even || round(beside, dtype) !== value) throw new Error(`between ${value} and ${next}`);
      }
    });
  }

  it('overflows to infinity where IEEE 754 does', () => {
    expect(round(65519.99, 'float16')).to.equal(65504);
    expect(round(65520, 'float16')).to.equal(Number.POSITIVE_INFINITY);
    expect(round(-1e39, 'bfloat16')).to.equal(Number.NEGATIVE_INFINITY);
  });

  it('knows the last place', () => {
    expect(lastPlace(1, 'float32')).to.equal(2 ** -23);
    expect(lastPlace(0.999, 'float32')).to.equal(2 ** -24);
    expect(lastPlace(4, 'float16')).to.equal(2 ** -8);
    for (const dtype of DTYPES) expect(lastPlace(0, dtype)).to.equal(smallestSubnormal(dtype));
  });
});
