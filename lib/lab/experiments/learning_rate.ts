/** Higher learning rates. */

import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { finalAccuracy } from '../final_accuracy';
import { range } from '../lab';
import { overRepeats, percent, WITH, WITHOUT } from '../series';
import { compare, greatestUsable, measureSweep, type Sweep, USABLE } from '../sweep';

const RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];
const DEPTH = 4;
const BATCH = 32;
const FACTOR = 3;

export function judge(sweep: Sweep): Judgement {
  const { without, within } = compare(sweep);
  const highWithout = greatestUsable(sweep.settings, without);
  const highWith = greatestUsable(sweep.settings, within);
  const ratio = highWith / highWithout;
  return {
    shown: highWith > 0 && ratio >= FACTOR * 0.999, // 0.3 / 0.1 is a little less than 3
    numbers: [
      { name: 'greatest usable rate, with ÷ without', value: ratio },
      { name: 'greatest usable rate without', value: highWithout },
      { name: 'greatest usable rate with', value: highWith },
      { name: 'best accuracy without', value: without.best },
      { name: 'best accuracy with', value: within.best },
    ],
    sentence: `The greatest usable learning rate is ${formatNumber(highWith)} with batch norm and ${formatNumber(highWithout)} without; each at its own best rate, the network reaches an accuracy of ${percent(within.best)} with and ${percent(without.best)} without.`,
  };
}

export const learningRate: Experiment = {
  name: 'learning-rate',
  title: 'Higher learning rates',
  claim: 'Batch norm lets networks train at much higher learning rates.',
  source: 'Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.3; Bjorck et al. 2018, arXiv:1806.02375',
  criterion: `the greatest usable learning rate is at least ${FACTOR} times as high with batch norm (${USABLE})`,
  async run(lab) {
    const repeats = range(lab.size(3, 5));
    const steps = lab.size(120, 600);
    const accuracies = await measureSweep(lab, repeats, RATES, (batchNorm, repeat, learningRate) =>
      finalAccuracy(
        lab,
        repeat,
        { depth: DEPTH, activation: 'relu', norm: batchNorm ? 'before' : 'none' },
        { steps, batchSize: BATCH, learningRate },
      ),
    );
    const measured = { settings: RATES, ...accuracies };
    return {
      ...judge(measured),
      setting: `${DEPTH} hidden layers, ReLU, He's initialization; ${steps} steps of ${BATCH} rows, momentum 0.9; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Accuracy over the learning rate',
          description: 'Test accuracy after training, over the learning rate: median and range over the seeds.',
          xLabel: 'learning rate (log)',
          xScale: 'log',
          xTicks: RATES,
          yLabel: 'test accuracy',
          yRange: [0, 1],
          series: [
            overRepeats('with batch norm', RATES, measured.normalized, { color: WITH }),
            overRepeats('without batch norm', RATES, measured.plain, { color: WITHOUT }),
          ],
        },
      ],
    };
  },
};
