/** What is compared with float64, and by which measure. */

import { lastPlace, round } from '../../lib/validation/number_format';
import { backward, batchStatistics, forEachOfChannel, forward, normalize, type Values, viewOf } from '../../lib/validation/oracle';
import { EPS } from '../cpu/data';
import type { Step } from './contender';
import type { BatchDType, Problem } from './problem';

export type Quantity = keyof Step;

/** In what an error is told; see MEASURE_WORDS. */
export type Measure = 'absolute' | 'share of terms' | 'beyond rounding' | 'share not nearest';

export const MEASURE_WORDS: Record<Measure, string> = {
  absolute: 'greatest absolute error',
  'share of terms': "greatest error in proportion to the sum of the magnitudes of its channel's terms",
  'beyond rounding': 'greatest error beyond the half of a last place that rounding costs, in last places (that of 1/8 for smaller values)',
  'share not nearest': 'share of values that are not the number of the type nearest to the exact one',
};

/** Of a dtype's step, what has a table of its own. The last rounding hides most of what happens before it in a half type. */
export function aspectsOf(dtype: BatchDType): { quantity: Quantity; measure: Measure }[] {
  const ofTensors: Measure[] = dtype === 'float32' ? ['absolute'] : ['beyond rounding', 'share not nearest'];
  return [
    ...(['output', 'dx'] as const).flatMap((quantity) => ofTensors.map((measure) => ({ quantity, measure }))),
    ...(['dγ', 'dβ'] as const).map((quantity) => ({ quantity, measure: 'share of terms' as const })),
  ];
}

/** The step in float64, and of the sums that dγ and dβ are, the magnitudes of their terms. */
export interface Expectation {
  dtype: BatchDType;
  step: Step;
  terms: Record<'dγ' | 'dβ', Float64Array>;
}

export function expectationOf({ dtype, shape, x, dy }: Problem): Expectation {
  const view = viewOf(shape);
  const statistics = batchStatistics(x, view);
  const layer = { eps: EPS };
  const { input, weight, bias } = backward(dy, x, view, statistics, false, layer);
  const { xhat } = normalize(x, view, statistics, layer);
  const terms = { dγ: new Float64Array(view.channels), dβ: new Float64Array(view.channels) };
  for (let channel = 0; channel < view.channels; channel++) {
    forEachOfChannel(view, channel, (i) => {
      terms.dγ[channel]! += Math.abs(dy[i]! * xhat[i]!);
      terms.dβ[channel]! += Math.abs(dy[i]!);
    });
  }
  return { dtype, step: { output: forward(x, view, statistics, layer), dx: input, dγ: weight, dβ: bias }, terms };
}

/** Infinite where a value is not a number. */
export function errorOf(quantity: Quantity, measure: Measure, actual: Step, { dtype, step, terms }: Expectation): number {
  const [values, expected] = [actual[quantity], step[quantity]];
  if (values.length !== expected.length) throw new Error(`${values.length} values came for ${quantity} instead of ${expected.length}`);
  const scales = quantity === 'dγ' || quantity === 'dβ' ? terms[quantity] : undefined;
  switch (measure) {
    case 'absolute':
      return greatest(values, expected, () => 1);
    case 'share of terms':
      return greatest(values, expected, (i) => scales![i]!);
    case 'beyond rounding':
      return Math.max(0, greatest(values, expected, (i) => lastPlace(Math.max(Math.abs(expected[i]!), 1 / 8), dtype)) - 1 / 2);
    case 'share not nearest': {
      let others = 0;
      for (let i = 0; i < values.length; i++) if (values[i] !== round(expected[i]!, dtype)) others++;
      return others / values.length;
    }
  }
}

function greatest(values: Values, expected: Values, unit: (i: number) => number): number {
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    const error = Math.abs(values[i]! - expected[i]!) / unit(i);
    if (Number.isNaN(error)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, error);
  }
  return worst;
}
