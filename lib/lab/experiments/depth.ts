/** Deeper networks. */

import type { Experiment, Judgement } from '../experiment';
import { finalAccuracy } from '../final_accuracy';
import { range } from '../lab';
import { overRepeats, percent, WITH, WITHOUT } from '../series';
import { compare, greatestUsable, measureSweep, type Sweep, USABLE } from '../sweep';

const DEPTHS = [1, 2, 4, 8, 16];
/** In a full run alone. */
const DEEPEST = 32;
const RATES = [0.01, 0.1];
const BATCH = 32;
const FACTOR = 2;

export function judge(sweep: Sweep): Judgement {
  const { without, within } = compare(sweep);
  const depthWithout = greatestUsable(sweep.settings, without);
  const depthWith = greatestUsable(sweep.settings, within);
  const deepest = sweep.settings.at(-1)!;
  return {
    shown: depthWith > 0 && depthWith >= FACTOR * depthWithout,
    numbers: [
      { name: 'deepest usable network, with ÷ without', value: depthWith / depthWithout },
      { name: 'deepest usable network without', value: depthWithout },
      { name: 'deepest usable network with', value: depthWith },
      { name: `accuracy at depth ${deepest} without`, value: without.medians.at(-1)! },
      { name: `accuracy at depth ${deepest} with`, value: within.medians.at(-1)! },
    ],
    sentence: `The deepest usable network has ${depthWith} hidden layers with batch norm and ${depthWithout} without; with ${deepest} layers accuracy is ${percent(within.medians.at(-1)!)} with and ${percent(without.medians.at(-1)!)} without, and at best ${percent(within.best)} and ${percent(without.best)}.`,
  };
}

export const depth: Experiment = {
  name: 'depth',
  title: 'Deeper networks',
  claim: 'Batch norm makes deeper networks trainable.',
  source:
    'Ioffe & Szegedy 2015, arXiv:1502.03167; He et al. 2016, arXiv:1512.03385, section 4.1, find no vanishing gradients in plain networks with it',
  criterion: `the deepest usable network is at least ${FACTOR} times as deep with batch norm (${USABLE})`,
  async run(lab) {
    const repeats = range(lab.size(3, 5));
    const steps = lab.size(100, 800);
    const depths = lab.quick ? DEPTHS : [...DEPTHS, DEEPEST];
    const accuracies = await measureSweep(lab, repeats, depths, (batchNorm, repeat, hidden) => {
      const network = { depth: hidden, activation: 'relu', norm: batchNorm ? 'before' : 'none' } as const;
      return Math.max(...RATES.map((learningRate) => finalAccuracy(lab, repeat, network, { steps, batchSize: BATCH, learningRate })));
    });
    const measured = { settings: depths, ...accuracies };
    return {
      ...judge(measured),
      setting: `ReLU, He's initialization, no shortcuts; ${steps} steps of ${BATCH} rows, momentum 0.9, the better of learning rates ${RATES.join(' and ')}; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Accuracy over depth',
          description: 'Test accuracy after training, over the number of hidden layers.',
          xLabel: 'hidden layers (log)',
          xScale: 'log',
          xTicks: depths,
          yLabel: 'test accuracy',
          yRange: [0, 1],
          series: [
            overRepeats('with batch norm', depths, measured.normalized, { color: WITH }),
            overRepeats('without batch norm', depths, measured.plain, { color: WITHOUT }),
          ],
        },
      ],
    };
  },
};
