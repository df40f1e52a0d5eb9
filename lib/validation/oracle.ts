/**
 * The reference every number is held against: batch normalization in float64, as plainly as it can be written.
 * Sums are compensated and the mean is a pair of doubles, so that the reference is right where float64 alone is not
 * (means a million times the deviation, float64 data).
 */

import type { Activation } from '../activation';

export type { Activation };
export const ACTIVATIONS: readonly Activation[] = ['identity', 'relu', 'leakyRelu', 'elu', 'sigmoid', 'tanh', 'silu', 'gelu'];

export type Values = ArrayLike<number>;

/** The tensor as every batch norm sees it: element (o, c, i) lies at (o·channels + c)·inner + i. */
export interface View {
  outer: number;
  channels: number;
  inner: number;
}

export interface Layer {
  weight?: Values | null | undefined;
  bias?: Values | null | undefined;
  residual?: Values | null | undefined;
  activation?: Activation | undefined;
  eps?: number | undefined;
}

/** Of one batch. The true mean is mean + meanLow; the variance is the biased one. */
export interface Statistics {
  mean: Values;
  meanLow?: Values;
  variance: Values;
}

export interface Gradients {
  input: Float64Array;
  weight: Float64Array;
  bias: Float64Array;
  residual: Float64Array;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

export function viewOf(shape: readonly number[], axis = 1): View {
  const a = axis < 0 ? axis + shape.length : axis;
  const channels = shape[a];
  if (channels === undefined) throw new Error(`axis ${axis} of a tensor of rank ${shape.length}`);
  return { outer: product(shape.slice(0, a)), channels, inner: product(shape.slice(a + 1)) };
}

export function forEachOfChannel(view: View, channel: number, visit: (index: number) => void): void {
  for (let o = 0; o < view.outer; o++) {
    const start = (o * view.channels + channel) * view.inner;
    for (let i = start; i < start + view.inner; i++) visit(i);
  }
}

/** A running sum carried as an unevaluated pair (Neumaier's). */
class Sum {
  high = 0;
  low = 0;
  add(value: number): void {
    const sum = this.high + value;
    this.low += Math.abs(this.high) >= Math.abs(value) ? this.high - sum + value : value - sum + this.high;
    this.high = sum;
  }
  value(): number {
    // Once infinite, the compensation is NaN and means nothing.
    return Number.isFinite(this.high) ? this.high + this.low : this.high;
  }
}

/** a·b − c without the rounding of the product, where a·b is close to c. */
function productMinus(a: number, b: number, c: number): number {
  const split = (v: number): [number, number] => {
    const t = 134217729 * v;
    const high = t - (t - v);
    return [high, v - high];
  };
  const [ah, al] = split(a);
  const [bh, bl] = split(b);
  return ah * bh - c + (ah * bl + al * bh) + al * bl;
}

export function batchStatistics(x: Values, view: View): Required<Statistics> {
  const { channels } = view;
  const count = view.outer * view.inner;
  const mean = new Float64Array(channels);
  const meanLow = new Float64Array(channels);
  const variance = new Float64Array(channels);
  for (let c = 0; c < channels; c++) {
    const sum = new Sum();
    forEachOfChannel(view, c, (i) => sum.add(x[i]!));
    const high = sum.value() / count;
    const low = Number.isFinite(high) ? (sum.low - productMinus(high, count, sum.high)) / count : 0;
    const squares = new Sum();
    forEachOfChannel(view, c, (i) => {
      const d = x[i]! - high - low;
      squares.add(d * d);
    });
    mean[c] = high;
    meanLow[c] = low;
    variance[c] = squares.value() / count;
  }
  return { mean, meanLow, variance };
}

/** The running value after one more batch; `momentum` is the weight of the new value. */
export function updateRunning(running: Values, batch: Values, momentum: number): Float64Array {
  return Float64Array.from(batch, (value, c) => (1 - momentum) * running[c]! + momentum * value);
}

/** What is stored as running variance. One value per channel has no unbiased variance: the biased one is kept. */
export function storedVariance(variance: Values, view: View, kind: 'unbiased' | 'biased'): Float64Array {
  const count = view.outer * view.inner;
  const factor = kind === 'unbiased' ? count / Math.max(count - 1, 1) : 1;
  return Float64Array.from(variance, (v) => v * factor);
}

/** x̂ and the value the activation sees, element by element. */
export function normalize(x: Values, view: View, statistics: Statistics, layer: Layer): { xhat: Float64Array; pre: Float64Array } {
  const xhat = new Float64Array(x.length);
  const pre = new Float64Array(x.length);
  for (let c = 0; c < view.channels; c++) {
    const scale = 1 / Math.sqrt(statistics.variance[c]! + (layer.eps ?? 1e-5));
    forEachOfChannel(view, c, (i) => {
      xhat[i] = (x[i]! - statistics.mean[c]! - (statistics.meanLow?.[c] ?? 0)) * scale;
      pre[i] = (layer.weight?.[c] ?? 1) * xhat[i]! + (layer.bias?.[c] ?? 0) + (layer.residual?.[i] ?? 0);
    });
  }
  return { xhat, pre };
}

/** With the statistics of a batch this is training, with those of a running average inference. */
export function forward(x: Values, view: View, statistics: Statistics, layer: Layer = {}): Float64Array {
  return normalize(x, view, statistics, layer).pre.map(activation(layer.activation ?? 'identity'));
}

/** `constant`: the statistics were given (inference); otherwise they are functions of x (training). */
export function backward(dy: Values, x: Values, view: View, statistics: Statistics, constant: boolean, layer: Layer = {}): Gradients {
  const { xhat, pre } = normalize(x, view, statistics, layer);
  const slope = derivative(layer.activation ?? 'identity');
  const residual = pre.map((value, i) => dy[i]! * slope(value));
  const input = new Float64Array(x.length);
  const weight = new Float64Array(view.channels);
  const bias = new Float64Array(view.channels);
  const count = view.outer * view.inner;
  for (let c = 0; c < view.channels; c++) {
    const dBias = new Sum();
    const dWeight = new Sum();
    forEachOfChannel(view, c, (i) => {
      dBias.add(residual[i]!);
      dWeight.add(residual[i]! * xhat[i]!);
    });
    bias[c] = dBias.value();
    weight[c] = dWeight.value();
    const scale = (layer.weight?.[c] ?? 1) / Math.sqrt(statistics.variance[c]! + (layer.eps ?? 1e-5));
    forEachOfChannel(view, c, (i) => {
      const throughStatistics = constant ? 0 : (bias[c]! + xhat[i]! * weight[c]!) / count;
      input[i] = scale * (residual[i]! - throughStatistics);
    });
  }
  return { input, weight, bias, residual };
}

const SQRT1_2 = Math.SQRT1_2;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const normalDensity = (x: number): number => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
const normalDistribution = (x: number): number => 0.5 * erfc(-x * SQRT1_2);

export function activation(kind: Activation): (x: number) => number {
  switch (kind) {
    case 'identity':
      return (x) => x;
    case 'relu':
      return (x) => Math.max(x, 0);
    case 'leakyRelu':
      return (x) => (x > 0 ? x : 0.01 * x);
    case 'elu':
      return (x) => (x > 0 ? x : Math.expm1(x));
    case 'sigmoid':
      return sigmoid;
    case 'tanh':
      return Math.tanh;
    case 'silu':
      return (x) => x * sigmoid(x);
    case 'gelu':
      return (x) => x * normalDistribution(x);
  }
}

/** At the kinks as PyTorch has it: 0 for relu, the slope for leakyRelu. */
export function derivative(kind: Activation): (x: number) => number {
  switch (kind) {
    case 'identity':
      return () => 1;
    case 'relu':
      return (x) => (x > 0 ? 1 : 0);
    case 'leakyRelu':
      return (x) => (x > 0 ? 1 : 0.01);
    case 'elu':
      return (x) => (x > 0 ? 1 : Math.exp(x));
    case 'sigmoid':
      return (x) => sigmoid(x) * sigmoid(-x);
    case 'tanh':
      return (x) => 1 / Math.cosh(x) ** 2;
    case 'silu':
      return (x) => sigmoid(x) * (1 + x * sigmoid(-x));
    case 'gelu':
      return (x) => normalDistribution(x) + x * normalDensity(x);
  }
}

/** 1 − erf(x), with a small relative error: power series near 0, where 1 is most of it, continued fraction further out. */
export function erfc(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x < 0) return 2 - erfc(-x);
  if (x > 27) return 0;
  const gauss = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 1) {
    let term = 2 * x;
    let sum = term;
    for (let n = 1; term > sum * 1e-18; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - gauss * sum;
  }
  let fraction = x;
  // After n terms the error is about exp(−2x√(2n)).
  for (let n = Math.ceil(200 / (x * x)) + 10; n >= 1; n--) fraction = x + n / 2 / fraction;
  return gauss / fraction;
}
