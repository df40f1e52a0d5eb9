/**
 * How far a result may lie from the float64 reference, derived from the arithmetic that is promised.
 *
 * Let u be half a unit in the last place of 1 in the type the arithmetic runs in: float64 when input and parameters
 * are float64, otherwise float32 (half types accumulate in float32). Then
 * - x̂ carries a few roundings of its own size (the subtraction, the reciprocal root, the variance below it) and the
 *   error of the mean, which is carried as a pair and so is a few u of the *deviation*, never of the mean itself. Only in
 *   float64 arithmetic the mean is one double, whose own rounding counts;
 * - every further sum and product adds a rounding of its terms;
 * - a sum over a channel adds roundings of the sum of its terms' magnitudes;
 * - storing adds one rounding in the stored type. That one is not a tolerance: rounding is monotone, so the stored value
 *   must lie between round(expected − tolerance) and round(expected + tolerance).
 * The counts of roundings below are those of sums in blocks: of some hundred values added one after the other each adds a
 * rounding, and where few distinct values make them lean one way, half of them remain. The root halves what the variance
 * has; the operations themselves need about four. But for float64 the counts do not grow with the input's mean: this is the point.
 */

import type { DType } from '../dtype';
import { round, smallestSubnormal, unitRoundoff } from './number_format';
import {
  backward,
  derivative,
  forEachOfChannel,
  forward,
  type Layer,
  normalize,
  type Statistics,
  updateRunning,
  type Values,
  type View,
} from './oracle';

/** Roundings of the size of the value itself. */
const OWN = 12;
/** Roundings of the size of the channel's deviation, from the mean. */
const MEAN = 12;
/** Roundings of the size of the sum of magnitudes, from summing a channel. */
const SUM = 12;
/** Roundings of the size of 1, from an exponential or an error function inside an activation. */
const TRANSCENDENTAL = 6;

export interface Bound {
  expected: ArrayLike<number>;
  tolerance: ArrayLike<number>;
}

/** One pass to be judged: what went in, and the statistics it should have used (the reference's). */
export interface Pass {
  x: Values;
  view: View;
  statistics: Statistics;
  layer: Layer;
  dtype: DType;
  parameterDtype: 'float32' | 'float64';
  /** Whether backward has the output alone, and recovers x̂ from it. */
  inPlace?: boolean;
}

export function arithmeticUnit(dtype: DType, parameterDtype: DType): number {
  return unitRoundoff(dtype === 'float64' && parameterDtype === 'float64' ? 'float64' : 'float32');
}

/** Roundings of the size of the mean, one for each merge of a part of the batch: none where the mean is a pair. */
const meanRoundings = (unit: number): number => (unit === unitRoundoff('float64') ? 16 : 0);

const isTranscendental = (layer: Layer): boolean => !['identity', 'relu', 'leakyRelu', undefined].includes(layer.activation);

/** What the rounding of the mean means for x̂, in u: an error of its own, and through the variance a relative one. */
function meanError(mean: number, variance: number, root: number, u: number): number {
  return variance > 0 ? (meanRoundings(u) * Math.abs(mean)) / root : 0; // a constant channel has an exact mean
}

/** Absolute errors of x̂ and of the pre-activation, element by element. */
function normalizeTolerance({ x, view, statistics, layer, dtype, parameterDtype }: Pass): { xhat: Float64Array; pre: Float64Array } {
  const u = arithmeticUnit(dtype, parameterDtype);
  const reference = normalize(x, view, statistics, layer);
  const xhat = new Float64Array(x.length);
  const pre = new Float64Array(x.length);
  for (let c = 0; c < view.channels; c++) {
    const variance = statistics.variance[c]!;
    const root = Math.sqrt(variance + (layer.eps ?? 1e-5));
    const deviation = variance > 0 ? Math.sqrt(variance) / root : 0; // that of x̂, near 1
    const center = meanError(statistics.mean[c]!, variance, root, u);
    const weight = Math.abs(layer.weight?.[c] ?? 1);
    const bias = Math.abs(layer.bias?.[c] ?? 0);
    forEachOfChannel(view, c, (i) => {
      xhat[i] = u * (OWN * Math.abs(reference.xhat[i]!) + MEAN * deviation + center * (1 + Math.abs(reference.xhat[i]!)));
      pre[i] = weight * xhat[i]! + 2 * u * (weight * Math.abs(reference.xhat[i]!) + bias + Math.abs(layer.residual?.[i] ?? 0));
    });
  }
  return { xhat, pre };
}

/** Roundings of the size of the pre-activation, from undoing activation, shift and scale. */
const RECOVERED = 4;

/**
 * The error of x̂ as backward has it. Recovered from the output it has that of the pre-activation, and the rounding of the output as it was
 * stored, which leakyRelu's inverse multiplies where the output is subnormal; all of it divided by the weight.
 */
function normalizedTolerance(pass: Pass, own: { xhat: Float64Array; pre: Float64Array }): Float64Array {
  if (!pass.inPlace) return own.xhat;
  const { x, view, statistics, layer, dtype, parameterDtype } = pass;
  const roundings = unitRoundoff(dtype) + RECOVERED * arithmeticUnit(dtype, parameterDtype);
  const { pre } = normalize(x, view, statistics, layer);
  const slope = derivative(layer.activation ?? 'identity');
  const tolerance = new Float64Array(x.length);
  for (let c = 0; c < view.channels; c++) {
    const weight = Math.abs(layer.weight?.[c] ?? 1);
    forEachOfChannel(view, c, (i) => {
      const stored = roundings * Math.abs(pre[i]!) + smallestSubnormal(dtype) / slope(pre[i]!);
      tolerance[i] = own.xhat[i]! + (own.pre[i]! + stored) / weight;
    });
  }
  return tolerance;
}

export function forwardBound(pass: Pass): Bound {
  const { x, view, statistics, layer, dtype, parameterDtype } = pass;
  const u = arithmeticUnit(dtype, parameterDtype);
  const expected = forward(x, view, statistics, layer);
  const { pre } = normalizeTolerance(pass);
  const flat = isTranscendental(layer) ? TRANSCENDENTAL * u : 0;
  // No activation of the contract is steeper than 1.13; the error of a transcendental one is of its own size, or of 1.
  return { expected, tolerance: expected.map((y, i) => 1.13 * pre[i]! + OWN * u * Math.abs(y) * (flat ? 1 : 0) + flat) };
}

export function statisticsBound(pass: Pass): { mean: Bound; variance: Bound } {
  const { statistics, dtype, parameterDtype } = pass;
  const u = arithmeticUnit(dtype, parameterDtype);
  const mean = Float64Array.from(statistics.mean, (high, c) => high + (statistics.meanLow?.[c] ?? 0));
  return {
    // A pair of floats holds the mean to u² of itself.
    mean: {
      expected: mean,
      tolerance: mean.map((m, c) => u * MEAN * Math.sqrt(statistics.variance[c]!) + (4 * u + meanRoundings(u)) * u * Math.abs(m)),
    },
    variance: {
      expected: statistics.variance,
      // Parts of the batch are merged by the differences of their means, whose roundings enter times the deviation.
      tolerance: Float64Array.from(statistics.variance, (v, c) => u * (SUM * v + 2 * meanRoundings(u) * Math.abs(mean[c]!) * Math.sqrt(v))),
    },
  };
}

/** `batch` and its errors, merged into `running`. */
export function runningBound(running: Values, batch: Bound, momentum: number, parameterDtype: 'float32' | 'float64'): Bound {
  const u = unitRoundoff(parameterDtype);
  const keep = 1 - momentum;
  const terms = (c: number): [number, number] => [keep * running[c]!, momentum * batch.expected[c]!];
  return {
    expected: updateRunning(running, batch.expected, momentum),
    tolerance: Float64Array.from(running, (old, c) => {
      const [kept, added] = terms(c);
      // The weights themselves (momentum and its complement) are rounded once, next to 1.
      const weights = u * (Math.abs(old) + Math.abs(batch.expected[c]!)) * Math.max(1, Math.abs(momentum));
      return weights + 3 * u * (Math.abs(kept) + Math.abs(added)) + Math.abs(momentum) * batch.tolerance[c]!;
    }),
  };
}

/** At a kink the derivative is decided by the last rounding: no gradient arrives there. */
export function keepOffKinks(dy: ArrayLike<number>, pass: Pass): Float64Array {
  const kinked = pass.layer.activation === 'relu' || pass.layer.activation === 'leakyRelu';
  if (!kinked) return Float64Array.from(dy);
  const { pre } = normalize(pass.x, pass.view, pass.statistics, pass.layer);
  const { tolerance } = forwardBound(pass);
  return Float64Array.from(dy, (g, i) => (Math.abs(pre[i]!) <= tolerance[i]! ? 0 : g));
}

export interface GradientBounds {
  input: Bound;
  weight: Bound;
  bias: Bound;
  residual: Bound;
}

export function backwardBound(dy: Values, pass: Pass, constant: boolean): GradientBounds {
  const { x, view, statistics, layer, dtype, parameterDtype } = pass;
  const u = arithmeticUnit(dtype, parameterDtype);
  const expected = backward(dy, x, view, statistics, constant, layer);
  const { xhat, pre } = normalize(x, view, statistics, layer);
  const error = normalizeTolerance(pass);
  const xhatError = normalizedTolerance(pass, error);
  const slope = derivative(layer.activation ?? 'identity');
  const count = view.outer * view.inner;
  const tolerance = {
    input: new Float64Array(x.length),
    weight: new Float64Array(view.channels),
    bias: new Float64Array(view.channels),
    // The slope moves with the pre-activation (second derivatives of the contract's activations are at most 1 in size; those with a
    // kink have none, and tests keep gradients off the kink), and is computed to a few roundings.
    residual: expected.residual.map((_, i) => {
      if (!isTranscendental(layer)) return u * Math.abs(dy[i]! * slope(pre[i]!));
      return (
        Math.abs(dy[i]!) * (error.pre[i]! + u * (TRANSCENDENTAL * (1 + Math.min(8, Math.abs(pre[i]!))) + OWN * Math.abs(slope(pre[i]!))))
      );
    }),
  };
  for (let c = 0; c < view.channels; c++) {
    let bias = 0;
    let weight = 0;
    forEachOfChannel(view, c, (i) => {
      const g = Math.abs(expected.residual[i]!);
      bias += tolerance.residual[i]! + SUM * u * g;
      weight += tolerance.residual[i]! * Math.abs(xhat[i]!) + g * xhatError[i]! + SUM * u * g * Math.abs(xhat[i]!);
    });
    tolerance.bias[c] = bias;
    tolerance.weight[c] = weight;
    const root = Math.sqrt(statistics.variance[c]! + (layer.eps ?? 1e-5));
    const scale = Math.abs(layer.weight?.[c] ?? 1) / root;
    const own = OWN + meanError(statistics.mean[c]!, statistics.variance[c]!, root, u);
    forEachOfChannel(view, c, (i) => {
      const z = Math.abs(xhat[i]!);
      const magnitude =
        Math.abs(expected.residual[i]!) + (constant ? 0 : (Math.abs(expected.bias[c]!) + z * Math.abs(expected.weight[c]!)) / count);
      const sums = constant ? 0 : (bias + z * weight + xhatError[i]! * Math.abs(expected.weight[c]!)) / count;
      tolerance.input[i] = scale * (tolerance.residual[i]! + sums + own * u * magnitude);
    });
  }
  return {
    input: { expected: expected.input, tolerance: tolerance.input },
    weight: { expected: expected.weight, tolerance: tolerance.weight },
    bias: { expected: expected.bias, tolerance: tolerance.bias },
    residual: { expected: expected.residual, tolerance: tolerance.residual },
  };
}

/** What is added to each tolerance: the last bit that the arithmetic itself can hold. */
export const lastBit = (dtype: DType): number => smallestSubnormal(dtype === 'float64' ? 'float64' : 'float32');

/** Whether a stored value is what rounding makes of a value within the tolerance. What is expected to be infinite or NaN must be just that. */
export function isWithin(actual: number, expected: number, tolerance: number, dtype: DType): boolean {
  if (Number.isNaN(expected)) return Number.isNaN(actual);
  if (!Number.isFinite(expected)) return actual === expected;
  const allowed = tolerance + lastBit(dtype);
  return actual >= round(expected - allowed, dtype) && actual <= round(expected + allowed, dtype);
}
