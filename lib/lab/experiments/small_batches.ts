/** Small batches, and what helps against them. */

import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import type { Network } from '../network/network';
import { train } from '../network/training';
import { overRepeats, percent, points } from '../series';
import { median } from '../statistics';

const SIZES = [2, 4, 8, 32, 128];
const DEPTH = 2;
/** The rate at a batch of 32 and more; in proportion to the batch below. */
const RATE = 0.05;
const RATE_BATCH = 32;
const FEWEST_STEPS = 100;
const VIRTUAL = 16;
/** Accuracy that must be lost. */
const LOSS = 0.03;

const KINDS = ['none', 'norm', 'recalibrated', 'renorm', 'ghost'] as const;
type Kind = (typeof KINDS)[number];

const WORDS: Record<Kind, string> = {
  none: 'without batch norm',
  norm: 'with batch norm',
  recalibrated: 'recalibrated after training',
  renorm: 'batch renormalization',
  ghost: `ghost batches of ${VIRTUAL}`,
};

export interface BatchSweep {
  sizes: readonly number[];
  /** Accuracy by repeat and batch size; NaN where the kind is not for that size. */
  accuracies: Record<Kind, readonly (readonly number[])[]>;
}

export function judge({ sizes, accuracies }: BatchSweep): Judgement {
  const at = (kind: Kind, index: number) => median(accuracies[kind].map((one) => one[index]!));
  const best = Math.max(...sizes.map((_, index) => at('norm', index)));
  const last = sizes.length - 1;
  const lost = best - at('norm', 0);
  const lostWithout = Math.max(...sizes.map((_, index) => at('none', index))) - at('none', 0);
  const back = (kind: Kind) => (at(kind, 0) - at('norm', 0)) / lost;
  const ghost = at('ghost', last) - at('norm', last);
  return {
    shown: lost >= LOSS && lost > lostWithout,
    numbers: [
      { name: `accuracy lost to batches of ${sizes[0]} with batch norm`, value: lost },
      { name: `accuracy lost to batches of ${sizes[0]} without`, value: lostWithout },
      { name: 'share of the loss that recalibration brings back', value: back('recalibrated') },
      { name: 'share of the loss that renormalization brings back', value: back('renorm') },
      { name: `accuracy won by ghost batches of ${VIRTUAL} in batches of ${sizes[last]}`, value: ghost },
      ...KINDS.filter((kind) => kind !== 'ghost').map((kind) => ({ name: `accuracy at ${sizes[0]}, ${WORDS[kind]}`, value: at(kind, 0) })),
    ],
    sentence: `From its best batch size to batches of ${sizes[0]}, accuracy falls from ${percent(best)} to ${percent(at('norm', 0))} with batch norm, and to ${percent(at('none', 0))} without, by ${points(lost)} and ${points(lostWithout)}. Recalibration makes it ${percent(at('recalibrated', 0))}, renormalization ${percent(at('renorm', 0))}. In batches of ${sizes[last]}, ghost batches of ${VIRTUAL} reach ${percent(at('ghost', last))}, and the whole batch ${percent(at('norm', last))}.`,
  };
}

export const smallBatches: Experiment = {
  name: 'small-batches',
  title: 'Small batches',
  claim:
    'Batch norm does worse the smaller the batch. Against it: statistics recalibrated after training, batch renormalization, and, where large batches generalize less well, ghost batches.',
  source:
    'Ioffe 2017, arXiv:1702.03275; Hoffer et al. 2017, arXiv:1705.08741 (ghost batches); Wu & Johnson 2021, arXiv:2105.07576 (recalibration)',
  criterion: `with batch norm accuracy falls by at least ${points(LOSS)} from the best batch size to the smallest, and by more than without; what the remedies bring is told by their own numbers`,
  async run(lab) {
    const repeats = range(lab.size(3, 5));
    const rows = lab.size(1600, 12_000);
    const found = await lab.each(combinations(repeats, SIZES), ([repeat, size]) => trainAll(lab, repeat, size, rows));
    const of = (kind: Kind) => repeats.map((repeat) => SIZES.map((_, index) => found[repeat * SIZES.length + index]![kind]));
    const accuracies = {
      none: of('none'),
      norm: of('norm'),
      recalibrated: of('recalibrated'),
      renorm: of('renorm'),
      ghost: of('ghost'),
    };
    return {
      ...judge({ sizes: SIZES, accuracies }),
      setting: `${DEPTH} hidden layers, ReLU; ${rows} rows seen at every batch size, but at least ${FEWEST_STEPS} steps; learning rate ${RATE} from batches of ${RATE_BATCH} on, and in proportion below, momentum 0.9; limits of renormalization raised from 1 and 0 to 3 and 5 in the second third; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Accuracy over the batch size',
          description: 'Test accuracy in eval mode after training, over the batch size.',
          xLabel: 'batch size (log)',
          xScale: 'log',
          xTicks: SIZES,
          yLabel: 'test accuracy',
          series: KINDS.map((kind) =>
            overRepeats(WORDS[kind], SIZES, accuracies[kind], { color: { norm: 0, none: 1, recalibrated: 2, renorm: 3, ghost: 4 }[kind] }),
          ),
        },
      ],
    };
  },
};

async function trainAll(lab: Lab, repeat: number, size: number, rows: number): Promise<Record<Kind, number>> {
  const options = {
    steps: Math.max(FEWEST_STEPS, Math.round(rows / size)),
    batchSize: size,
    learningRate: RATE * Math.min(1, size / RATE_BATCH),
  };
  const trained = (norm: 'none' | 'before', normOptions = {}, beforeStep?: (network: Network, share: number) => void) => {
    const network = lab.network({ depth: DEPTH, activation: 'relu', norm, normOptions, random: lab.random(repeat, 1) });
    train(network, lab.train, { ...options, random: lab.random(repeat, 2), beforeStep: (share) => beforeStep?.(network, share) });
    return network;
  };
  const tested = (network: Network) => {
    const { accuracy } = network.test(lab.test);
    network.dispose();
    return accuracy;
  };
  const none = tested(trained('none'));
  const network = trained('before');
  const norm = network.test(lab.test).accuracy;
  await network.recalibrate(lab.train);
  const recalibrated = tested(network);
  const renorm = tested(trained('before', { renorm: { rMax: 1, dMax: 0 } }, relax));
  const ghost = size > VIRTUAL ? tested(trained('before', { virtualBatchSize: VIRTUAL })) : Number.NaN;
  return { none, norm, recalibrated, renorm, ghost };
}

/** Plain batch norm in the first third, the paper's limits in the last, and a straight way between them. */
function relax(network: Network, share: number): void {
  const way = Math.min(1, Math.max(0, 3 * share - 1));
  for (const { norm } of network.norms) norm.renorm = { rMax: 1 + 2 * way, dMax: 5 * way };
}
