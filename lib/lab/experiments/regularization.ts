/** Regularization: what batch norm does to the gap between training and test, against dropout and together with it. */

import { type Dataset, select } from '../../datasets/dataset';
import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import { train } from '../network/training';
import { percent, points } from '../series';
import { median, shareOf } from '../statistics';

const ROWS = 250;
const DEPTH = 2;
const UNITS = 64;
const RATE = 0.05;
const BATCH = 25;
const DROPOUT = 0.3;
const LEAST = 0.01;
const SEEDS = 0.7;

/** Accuracy of one network on what it learned from, and on what it never saw. */
export interface Accuracies {
  train: number;
  test: number;
}

/** Four networks, alike but for batch norm and dropout. */
export interface Regularized {
  plain: Accuracies;
  norm: Accuracies;
  dropout: Accuracies;
  both: Accuracies;
}

const KINDS = ['plain', 'norm', 'dropout', 'both'] as const;
const WORDS: Record<keyof Regularized, string> = { plain: 'neither', norm: 'batch norm', dropout: 'dropout', both: 'both' };

const gapOf = ({ train: learned, test }: Accuracies): number => learned - test;

export function judge(runs: readonly Regularized[]): Judgement {
  const gap = (kind: keyof Regularized) => median(runs.map((run) => gapOf(run[kind])));
  const test = (kind: keyof Regularized) => median(runs.map((run) => run[kind].test));
  const narrowed = median(runs.map((run) => gapOf(run.plain) - gapOf(run.norm)));
  const won = shareOf(runs, (run) => gapOf(run.norm) < gapOf(run.plain));
  return {
    shown: narrowed >= LEAST && won >= SEEDS,
    numbers: [
      { name: 'gap without − gap with batch norm', value: narrowed },
      { name: 'share of seeds where batch norm has the smaller gap', value: won },
      ...KINDS.map((kind) => ({ name: `gap with ${WORDS[kind]}`, value: gap(kind) })),
      ...KINDS.map((kind) => ({ name: `test accuracy with ${WORDS[kind]}`, value: test(kind) })),
    ],
    sentence: `Accuracy falls from training to test by ${points(gap('plain'))} with neither, ${points(gap('norm'))} with batch norm, ${points(gap('dropout'))} with dropout and ${points(gap('both'))} with both; batch norm has the smaller gap than neither for ${percent(won)} of the seeds. Test accuracy: ${percent(test('plain'))}, ${percent(test('norm'))}, ${percent(test('dropout'))}, ${percent(test('both'))}.`,
  };
}

export const regularization: Experiment = {
  name: 'regularization',
  title: 'Regularization',
  claim:
    'The noise of the batches makes batch norm a regularizer: the gap between training and test accuracy narrows, and dropout can be left out.',
  source:
    'Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.4; that dropout and batch norm do not go together well: Li et al. 2019, arXiv:1801.05134',
  criterion: `the gap between training and test accuracy is at least ${points(LEAST)} smaller with batch norm than without in the median, and smaller for ${100 * SEEDS} % of the seeds`,
  async run(lab) {
    const repeats = range(lab.size(5, 15));
    const steps = lab.size(200, 1000);
    const found = await lab.each(combinations(repeats, KINDS), ([repeat, kind]) => trainOne(lab, repeat, kind, steps));
    const runs = repeats.map((repeat) => {
      const [plain, norm, dropout, both] = found.slice(repeat * KINDS.length, (repeat + 1) * KINDS.length);
      return { plain: plain!, norm: norm!, dropout: dropout!, both: both! };
    });
    const bars = (name: string, color: number, value: (one: Accuracies) => number) => ({
      name,
      color,
      values: KINDS.map((kind) => median(runs.map((run) => value(run[kind])))),
    });
    const categories = KINDS.map((kind) => WORDS[kind]);
    return {
      ...judge(runs),
      setting: `${DEPTH} hidden layers of ${UNITS}, ReLU, trained on ${ROWS} rows alone, others for each seed; ${steps} steps of ${BATCH} rows, learning rate ${RATE}, momentum 0.9; dropout drops ${100 * DROPOUT} % of the activations; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'bars',
          title: 'Accuracy in training and test',
          description: 'Accuracy on the training and the test rows after training.',
          yLabel: 'accuracy',
          yRange: [0, 1],
          categories,
          series: [bars('training', 0, (one) => one.train), bars('test', 1, (one) => one.test)],
        },
        {
          kind: 'bars',
          title: 'Gap between training and test',
          description: 'Difference of training and test accuracy.',
          yLabel: 'difference of accuracies',
          categories,
          series: [bars('gap', 2, gapOf)],
        },
      ],
    };
  },
};

function trainOne(lab: Lab, repeat: number, kind: keyof Regularized, steps: number): Accuracies {
  const norm = kind === 'norm' || kind === 'both' ? 'before' : 'none';
  const dropout = kind === 'dropout' || kind === 'both' ? DROPOUT : 0;
  const few: Dataset = select(lab.train, lab.random(repeat, 3).permutation(lab.train.count).subarray(0, ROWS));
  const network = lab.network({ depth: DEPTH, units: UNITS, activation: 'relu', norm, dropout, random: lab.random(repeat, 1) });
  train(network, few, { steps, batchSize: BATCH, learningRate: RATE, random: lab.random(repeat, 2) });
  const accuracies = { train: network.test(few).accuracy, test: network.test(lab.test).accuracy };
  network.dispose();
  return accuracies;
}
