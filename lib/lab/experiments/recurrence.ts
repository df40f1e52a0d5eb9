/** Recurrent networks: statistics shared over time against statistics of each time step. */

import { SIDE } from '../data';
import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import { Recurrent } from '../network/recurrent';
import { train } from '../network/training';
import { percent, points } from '../series';
import { median, shareOf } from '../statistics';

const UNITS = 32;
const RATE = 0.05;
const BATCH = 32;
const LEAST = 0.01;
const SEEDS = 0.7;

const KINDS = ['none', 'input', 'shared', 'steps'] as const;
type Kind = (typeof KINDS)[number];

const WORDS: Record<Kind, string> = {
  none: 'no batch norm',
  input: 'input alone, shared',
  shared: 'both, shared over time',
  steps: 'both, each time step',
};

/** Accuracy on the test rows, with the running statistics and with those of the test rows themselves. */
export interface Accuracies {
  inUse: number;
  ofBatch: number;
}

export function judge(runs: readonly Record<Kind, Accuracies>[]): Judgement {
  const accuracy = (kind: Kind) => median(runs.map((run) => run[kind].inUse));
  const won = median(runs.map(({ steps, shared }) => steps.inUse - shared.inUse));
  const share = shareOf(runs, ({ steps, shared }) => steps.inUse > shared.inUse);
  const gap = (kind: Kind) => median(runs.map((run) => run[kind].ofBatch - run[kind].inUse));
  return {
    shown: won >= LEAST && share >= SEEDS,
    numbers: [
      { name: 'accuracy won by statistics of each time step', value: won },
      { name: 'share of seeds where they are better', value: share },
      ...KINDS.map((kind) => ({ name: `test accuracy, ${WORDS[kind]}`, value: accuracy(kind) })),
      { name: "accuracy by the batch's statistics − by the running ones, shared", value: gap('shared') },
      { name: "accuracy by the batch's statistics − by the running ones, each time step", value: gap('steps') },
    ],
    sentence: `In eval mode statistics of each time step reach ${percent(accuracy('steps'))}, one set shared over time ${percent(accuracy('shared'))}, and are better for ${percent(share)} of the seeds; with batch norm on the input alone it is ${percent(accuracy('input'))}, with none ${percent(accuracy('none'))}. By the statistics of the test batch itself, the shared set would reach ${points(gap('shared'))} more than by the running ones, and that of each time step ${points(gap('steps'))}.`,
  };
}

export const recurrence: Experiment = {
  name: 'recurrence',
  title: 'Recurrent networks',
  claim:
    'In a recurrent network each time step needs running statistics of its own: those of the first steps are others than those of later ones, and one shared set fits none of them in eval mode.',
  source:
    'Cooijmans et al. 2017, arXiv:1603.09025, section 3; Laurent et al. 2016, arXiv:1510.01378, normalize the input alone, shared over time',
  criterion: `test accuracy in eval mode is at least ${points(LEAST)} higher with statistics of each time step than with one shared set in the median, and higher for ${100 * SEEDS} % of the seeds`,
  async run(lab) {
    const repeats = range(lab.size(5, 9));
    const steps = lab.size(100, 600);
    const found = await lab.each(combinations(repeats, KINDS), ([repeat, kind]) => trainOne(lab, repeat, kind, steps));
    const runs = repeats.map((repeat) => {
      const [none, input, shared, each] = found.slice(repeat * KINDS.length, (repeat + 1) * KINDS.length);
      return { none: none!, input: input!, shared: shared!, steps: each! };
    });
    const bars = (name: string, color: number, what: keyof Accuracies) => ({
      name,
      color,
      values: KINDS.map((kind) => median(runs.map((run) => run[kind][what]))),
    });
    return {
      ...judge(runs),
      setting: `Pictures are read row by row, ${SIDE} steps of ${SIDE} pixels, by ${UNITS} tanh units; batch norm on what comes from the input and from the state before, γ starting at 0.1; ${steps} steps of ${BATCH} rows, learning rate ${RATE}, momentum 0.9; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'bars',
          title: 'Test accuracy of a recurrent network',
          description:
            'Test accuracy by the running statistics and by those of the test batch, by where batch norm is and whose statistics it keeps.',
          yLabel: 'test accuracy',
          yRange: [0, 1],
          categories: KINDS.map((kind) => WORDS[kind]),
          series: [bars('running statistics', 0, 'inUse'), bars('statistics of the test batch', 1, 'ofBatch')],
        },
      ],
    };
  },
};

function trainOne(lab: Lab, repeat: number, kind: Kind, steps: number): Accuracies {
  const network = new Recurrent({
    steps: SIDE,
    width: SIDE,
    units: UNITS,
    classes: lab.classes,
    normalized: kind === 'none' || kind === 'input' ? kind : 'both',
    horizon: kind === 'steps' ? SIDE : 1,
    device: lab.device,
    random: lab.random(repeat, 1),
  });
  train(network, lab.train, { steps, batchSize: BATCH, learningRate: RATE, random: lab.random(repeat, 2) });
  const accuracies = { inUse: network.accuracy(lab.test), ofBatch: network.accuracy(lab.test, true) };
  network.dispose();
  return accuracies;
}
