/** Before the activation, or after it. */

import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import type { ActivationName } from '../network/activation';
import { train } from '../network/training';
import { percent } from '../series';
import { mean, median, shareOf } from '../statistics';

const ACTIVATIONS: readonly ActivationName[] = ['relu', 'tanh', 'sigmoid'];
const PLACES = ['before', 'after', 'none'] as const;
const RATE = 0.05;
const DEPTH = 4;
const BATCH = 32;
const RATIO = 1.1;
const PAIRS = 0.75;

/** One network for each place, alike in all else. */
export interface Placed {
  activation: ActivationName;
  /** Training loss over the last tenth of the steps, and test accuracy. */
  before: { loss: number; accuracy: number };
  after: { loss: number; accuracy: number };
  none: { loss: number; accuracy: number };
}

export function judge(pairs: readonly Placed[]): Judgement {
  const ratio = median(pairs.map(({ before, after }) => after.loss / before.loss));
  const won = shareOf(pairs, ({ before, after }) => before.loss < after.loss);
  const accuracy = (place: (typeof PLACES)[number]) => median(pairs.map((pair) => pair[place].accuracy));
  return {
    shown: ratio >= RATIO && won >= PAIRS,
    numbers: [
      { name: 'training loss after ÷ before the activation', value: ratio },
      { name: 'share of pairs where before is better', value: won },
      { name: 'test accuracy, before', value: accuracy('before') },
      { name: 'test accuracy, after', value: accuracy('after') },
      { name: 'test accuracy, no batch norm', value: accuracy('none') },
    ],
    sentence: `The training loss with batch norm after the activation is ${formatNumber(ratio)} times that before it (median over ${ACTIVATIONS.join(', ')}), and before is the better place in ${percent(won)} of the pairs; test accuracy ${percent(accuracy('before'))} before, ${percent(accuracy('after'))} after, ${percent(accuracy('none'))} with none.`,
  };
}

export const placement: Experiment = {
  name: 'placement',
  title: 'Before or after the activation',
  claim:
    'Batch norm belongs after the linear transformation and before the activation: there what it normalizes is more nearly Gaussian, and training goes better than with it after the activation.',
  source: 'Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2; the opposite is reported by Mishkin & Matas 2016, arXiv:1511.06422',
  criterion: `the training loss is at least ${RATIO} times as high after the activation as before it in the median of all pairs, and higher in ${100 * PAIRS} % of them`,
  async run(lab) {
    const repeats = range(lab.size(3, 7));
    const steps = lab.size(150, 600);
    const pairs = await lab.each(combinations(ACTIVATIONS, repeats), ([activation, repeat]) => trainAll(lab, activation, repeat, steps));
    const bars = (what: 'loss' | 'accuracy') =>
      PLACES.map((place, color) => ({
        name: place === 'none' ? 'no batch norm' : `${place} the activation`,
        color,
        values: ACTIVATIONS.map((activation) =>
          median(pairs.filter((pair) => pair.activation === activation).map((pair) => pair[place][what])),
        ),
      }));
    return {
      ...judge(pairs),
      setting: `${DEPTH} hidden layers; ${steps} steps of ${BATCH} rows, learning rate ${RATE}, momentum 0.9; ${repeats.length} seeds for each of three activations, the same weights and order of rows for each place.`,
      plots: [
        {
          kind: 'bars',
          title: 'Training loss by place',
          description: 'Cross-entropy over the last tenth of the steps, by activation and place of batch norm.',
          yLabel: 'training loss (log)',
          yScale: 'log',
          categories: ACTIVATIONS,
          series: bars('loss'),
        },
        {
          kind: 'bars',
          title: 'Test accuracy by place',
          description: 'Test accuracy after training, by activation and place of batch norm.',
          yLabel: 'test accuracy',
          yRange: [0, 1],
          categories: ACTIVATIONS,
          series: bars('accuracy'),
        },
      ],
    };
  },
};

function trainAll(lab: Lab, activation: ActivationName, repeat: number, steps: number): Placed {
  const [before, after, none] = PLACES.map((norm) => {
    const network = lab.network({ depth: DEPTH, activation, norm, random: lab.random(repeat, 1) });
    const losses = train(network, lab.train, { steps, batchSize: BATCH, learningRate: RATE, random: lab.random(repeat, 2) });
    const { accuracy } = network.test(lab.test);
    network.dispose();
    const loss = mean(losses.slice(-Math.ceil(steps / 10)));
    return { loss: Number.isNaN(loss) ? Infinity : loss, accuracy };
  });
  return { activation, before: before!, after: after!, none: none! };
}
