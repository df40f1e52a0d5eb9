/** The batch's statistics in training, those of the population in use. */

import { BatchNorm, Tensor } from '../../index';
import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { type Lab, range } from '../lab';
import { batches, train } from '../network/training';
import type { Values } from '../network/values';
import { overRepeats } from '../series';
import { median } from '../statistics';

const BATCH = 128;
const CHANNELS = 32;
const PASSES = 100;
/** Of the first distance: what may be left. */
const LEFT_OF_ONE_BATCH = 0.02;
const LEFT_OF_BATCHES = 1 / 3;

/** Distances after each pass, by repeat: of the outputs in training and in use, relative to the former. */
export interface Distances {
  /** All passes are of one batch. */
  one: readonly (readonly number[])[];
  /** Each pass is of another batch; the network stands still. */
  batches: readonly (readonly number[])[];
  /** As before, with the cumulative average (momentum null). */
  cumulative: readonly (readonly number[])[];
}

export function judge(distances: Distances): Judgement {
  const left = (repeats: Distances['one']) => median(repeats.map((one) => one.at(-1)! / one[0]!));
  const last = (repeats: Distances['one']) => median(repeats.map((one) => one.at(-1)!));
  const [one, several] = [left(distances.one), left(distances.batches)];
  return {
    shown: one <= LEFT_OF_ONE_BATCH && several <= LEFT_OF_BATCHES,
    numbers: [
      { name: 'distance left of the first, other batches', value: several },
      { name: 'distance left of the first, the same batch', value: one },
      { name: 'last distance, other batches', value: last(distances.batches) },
      { name: 'last distance, the same batch', value: last(distances.one) },
      { name: 'last distance, other batches, cumulative average', value: last(distances.cumulative) },
    ],
    sentence: `After ${PASSES} passes the outputs of one batch in training and in use differ by ${formatNumber(last(distances.batches))} of their size where each pass saw another batch (${formatNumber(several)} of what it was after the first), and by ${formatNumber(last(distances.one))} where all passes saw that batch; by the cumulative average over other batches ${formatNumber(last(distances.cumulative))} are left.`,
  };
}

export const statistics: Experiment = {
  name: 'statistics',
  title: 'Statistics of the batch and of the population',
  claim:
    'In training a batch is normalized by its own statistics, in use by running averages of them; as these settle, both give the same outputs but for what one batch differs from all.',
  source: 'Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1 and algorithm 2',
  criterion: `of the distance after the first pass at most ${LEFT_OF_ONE_BATCH} is left where all passes are of one batch, and a third where each is of another`,
  async run(lab) {
    const repeats = range(lab.size(3, 9));
    const measured = await lab.each(repeats, (repeat) => distancesOf(lab, repeat));
    const distances: Distances = {
      one: measured.map(([one]) => one),
      batches: measured.map(([, several]) => several),
      cumulative: measured.map(([, , cumulative]) => cumulative),
    };
    const passes = range(PASSES).map((pass) => pass + 1);
    return {
      ...judge(distances),
      setting: `Batch norm after the first linear layer of a network whose weights stand still; ${CHANNELS} channels, batches of ${BATCH}, momentum 0.1, ${PASSES} passes; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Distance of the outputs in training and in use',
          description: 'Root mean square of the difference over that of the output in training, for one batch after each pass.',
          xLabel: 'passes',
          wholeX: true,
          yLabel: 'distance (log)',
          yScale: 'log',
          series: [
            overRepeats('the same batch each pass', passes, distances.one),
            overRepeats('other batches', passes, distances.batches),
            overRepeats('other batches, cumulative average', passes, distances.cumulative),
          ],
        },
      ],
    };
  },
};

/** What the first linear layer of a network gives, batch after batch. */
function* preActivations(lab: Lab, repeat: number): Generator<Values> {
  const network = lab.network({ depth: 1, units: CHANNELS, activation: 'relu', norm: 'none', random: lab.random(repeat, 1) });
  train(network, lab.train, { steps: 50, batchSize: BATCH, learningRate: 0.1, random: lab.random(repeat, 2) });
  try {
    for (const { features, count } of batches(lab.train, BATCH, lab.random(repeat, 3))) {
      network.forward(features, count, false);
      yield network.activations[0]!.input.slice();
    }
  } finally {
    network.dispose();
  }
}

function distancesOf(lab: Lab, repeat: number): [number[], number[], number[]] {
  const source = preActivations(lab, repeat);
  const watched = source.next().value as Values;
  const others = range(PASSES).map(() => source.next().value as Values);
  source.return(undefined);
  const same = others.map(() => watched);
  return [follow(lab, watched, same, 0.1), follow(lab, watched, others, 0.1), follow(lab, watched, others, null)];
}

function follow(lab: Lab, watched: Values, passes: readonly Values[], momentum: number | null): number[] {
  using norm = new BatchNorm(CHANNELS, { momentum, device: lab.device });
  using apart = new BatchNorm(CHANNELS, { trackRunningStats: false, device: lab.device });
  using input = tensorOf(lab, watched);
  using inTraining = apart.forward(input);
  const wanted = inTraining.readSync();
  return passes.map((values) => {
    using batch = tensorOf(lab, values);
    norm.train().forward(batch).dispose();
    using inUse = norm.eval().forward(input);
    return relativeDistance(inUse.readSync(), wanted);
  });
}

function tensorOf(lab: Lab, values: Values): Tensor {
  return Tensor.from(values, [values.length / CHANNELS, CHANNELS], { device: lab.device });
}

function relativeDistance(values: Values, wanted: Values): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < values.length; i++) {
    difference += (values[i]! - wanted[i]!) ** 2;
    size += wanted[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}
