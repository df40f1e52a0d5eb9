/** Less dependence on initialization. */

import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { finalAccuracy } from '../final_accuracy';
import { range } from '../lab';
import { overRepeats, percent, WITH, WITHOUT } from '../series';
import { compare, measureSweep, type Sweep, USABLE } from '../sweep';

/** Half a decade apart, four decades in all; 1 is He's initialization. */
const SCALES = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];
const DEPTH = 4;
const RATE = 0.05;
const BATCH = 32;
const DECADES = 1;

export function judge(sweep: Sweep): Judgement {
  const { without, within } = compare(sweep);
  const spanWithout = longestSpan(sweep.settings, without.usable);
  const spanWith = longestSpan(sweep.settings, within.usable);
  return {
    shown: spanWith - spanWithout >= DECADES - 0.01,
    numbers: [
      { name: 'decades of usable scales, with − without', value: spanWith - spanWithout },
      { name: 'decades without', value: spanWithout },
      { name: 'decades with', value: spanWith },
      { name: 'best accuracy without', value: without.best },
      { name: 'best accuracy with', value: within.best },
      { name: 'lowest accuracy without', value: Math.min(...without.medians) },
      { name: 'lowest accuracy with', value: Math.min(...within.medians) },
    ],
    sentence: `The scales of the initial weights that are usable span ${formatNumber(spanWith)} decades with batch norm and ${formatNumber(spanWithout)} without; the best accuracy of the sweep is ${percent(within.best)} with and ${percent(without.best)} without, the lowest ${percent(Math.min(...within.medians))} and ${percent(Math.min(...without.medians))}.`,
  };
}

/** Decades from the first to the last of the longest run of usable scales; 0 for one alone or none. */
function longestSpan(scales: readonly number[], usable: readonly boolean[]): number {
  let longest = 0;
  let first: number | undefined;
  scales.forEach((scale, index) => {
    first = usable[index] ? (first ?? scale) : undefined;
    if (first !== undefined) longest = Math.max(longest, Math.log10(scale / first));
  });
  return longest;
}

export const initialization: Experiment = {
  name: 'initialization',
  title: 'Less dependence on initialization',
  claim: 'With batch norm training depends less on how the weights start: their scale cancels out.',
  source: 'Ioffe & Szegedy 2015, arXiv:1502.03167, sections 1 and 3.3',
  criterion: `usable scales span at least ${DECADES} decade more with batch norm (${USABLE})`,
  async run(lab) {
    const repeats = range(lab.size(3, 5));
    const steps = lab.size(120, 600);
    const accuracies = await measureSweep(lab, repeats, SCALES, (batchNorm, repeat, weightScale) =>
      finalAccuracy(
        lab,
        repeat,
        { depth: DEPTH, activation: 'relu', norm: batchNorm ? 'before' : 'none', weightScale },
        { steps, batchSize: BATCH, learningRate: RATE },
      ),
    );
    const measured = { settings: SCALES, ...accuracies };
    return {
      ...judge(measured),
      setting: `${DEPTH} hidden layers, ReLU; all weights start at He's scale times 0.01 to 100; ${steps} steps of ${BATCH} rows, learning rate ${RATE}, momentum 0.9; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Accuracy over the scale of the first weights',
          description: 'Test accuracy after training, over the factor on the initial weights.',
          xLabel: "factor on He's initialization (log)",
          xScale: 'log',
          xTicks: SCALES,
          yLabel: 'test accuracy',
          yRange: [0, 1],
          series: [
            overRepeats('with batch norm', SCALES, measured.normalized, { color: WITH }),
            overRepeats('without batch norm', SCALES, measured.plain, { color: WITHOUT }),
          ],
        },
      ],
    };
  },
};
