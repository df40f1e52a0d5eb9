/** Vanishing and exploding gradients. */

import { select } from '../../datasets/dataset';
import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import type { ActivationName } from '../network/activation';
import { overRepeats } from '../series';
import { median } from '../statistics';

const DEPTH = 24;
const BATCH = 128;
const ACTIVATIONS: readonly ActivationName[] = ['relu', 'tanh', 'sigmoid'];
/** Times the usual scale of the weights: too small, right, and too large. */
const SCALES = [0.5, 1, 2];
const FACTOR = 100;

/** Norms of the gradients of the weights, by repeat and layer. */
export interface Norms {
  activation: ActivationName;
  scale: number;
  plain: readonly (readonly number[])[];
  normalized: readonly (readonly number[])[];
}

/** Greatest over least; Infinity where a gradient vanished altogether or is no number. */
function spread(norms: readonly number[]): number {
  const ratio = Math.max(...norms) / Math.min(...norms);
  return Number.isFinite(ratio) ? ratio : Infinity;
}

export function judge(starts: readonly Norms[]): Judgement {
  const overLayers = starts.map(({ activation, scale, plain, normalized }) => ({
    name: `${activation}, scale × ${scale}`,
    without: median(plain.map(spread)),
    within: median(normalized.map(spread)),
  }));
  const activations = [...new Set(starts.map(({ activation }) => activation))];
  const overall = activations.map((activation) => {
    const some = starts.filter((start) => start.activation === activation);
    const of = (kind: 'plain' | 'normalized') =>
      median(some[0]![kind].map((_, repeat) => spread(some.flatMap((start) => start[kind][repeat]!))));
    const [without, within] = [of('plain'), of('normalized')];
    return { activation, without, within, ratio: within === Infinity ? 0 : without / within }; // both may have vanished: ∞ / ∞ is no number
  });
  const least = overall.reduce((least, one) => (one.ratio < least.ratio ? one : least));
  const worse = overLayers.filter(({ without, within }) => within > without);
  const worst = worse.toSorted((one, other) => other.within / other.without - one.within / one.without)[0];
  const example = worst ? `, such as ${worst.name}: ${formatNumber(worst.within)} with and ${formatNumber(worst.without)} without` : '';
  return {
    shown: least.ratio >= FACTOR,
    numbers: [
      { name: 'spread of gradient norms without ÷ with, at the least', value: least.ratio },
      ...overall.flatMap(({ activation, without, within }) => [
        { name: `${activation}: spread over layers and scales without`, value: without },
        { name: `${activation}: spread over layers and scales with`, value: within },
      ]),
      ...overLayers.flatMap(({ name, without, within }) => [
        { name: `${name}: spread over layers without`, value: without },
        { name: `${name}: spread over layers with`, value: within },
      ]),
    ],
    sentence: `Over layers and scales gradient norms spread by ${overall.map(({ activation, without, within }) => `a factor of ${formatNumber(within)} with batch norm and ${formatNumber(without)} without (${activation})`).join(', ')}. At one scale alone they spread more over the layers with batch norm at ${worse.length} of ${starts.length} starts${example}.`,
  };
}

export const gradients: Experiment = {
  name: 'gradients',
  title: 'Vanishing and exploding gradients',
  claim: 'In deep networks batch norm keeps gradients from vanishing and exploding, whatever the scale of the weights.',
  source:
    'Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.3; that at the start gradients of deep networks with batch norm explode themselves: Yang et al. 2019, arXiv:1902.08129',
  criterion: `for every activation, the greatest gradient norm of any layer at any of the scales, over the least, is at least ${FACTOR} times as high without batch norm`,
  async run(lab) {
    const repeats = range(lab.size(5, 15));
    const starts = await lab.each(combinations(ACTIVATIONS, SCALES), ([activation, scale]) => measure(lab, activation, scale, repeats));
    const layers = range(DEPTH).map((layer) => layer + 1);
    const plot = (activation: ActivationName) => ({
      kind: 'lines' as const,
      title: `Gradient norm by layer, ${activation}`,
      description: 'Norm of the gradient of the weights of each hidden layer at the start: solid with batch norm, dashed without.',
      xLabel: 'hidden layer',
      wholeX: true,
      yLabel: 'norm (log)',
      yScale: 'log' as const,
      series: starts
        .filter((start) => start.activation === activation)
        .flatMap(({ scale, plain, normalized }, index) => [
          overRepeats(`with, × ${scale}`, layers, normalized, { color: index }),
          overRepeats(`without, × ${scale}`, layers, plain, { color: index, dashed: true }),
        ]),
    });
    return {
      ...judge(starts),
      setting: `${DEPTH} hidden layers at the start of training, gradients of the loss of ${BATCH} rows; weights at half, once and twice the usual scale (that of He et al. for ReLU, √(1 / inputs) for tanh and sigmoid); ${repeats.length} seeds.`,
      plots: ACTIVATIONS.map(plot),
    };
  },
};

function measure(lab: Lab, activation: ActivationName, scale: number, repeats: readonly number[]): Norms {
  const norms = (norm: boolean) => repeats.map((repeat) => gradientNorms(lab, activation, scale, norm, repeat));
  return { activation, scale, plain: norms(false), normalized: norms(true) };
}

function gradientNorms(lab: Lab, activation: ActivationName, weightScale: number, norm: boolean, repeat: number): number[] {
  const network = lab.network({ depth: DEPTH, activation, norm: norm ? 'before' : 'none', weightScale, random: lab.random(repeat, 1) });
  const { features, labels } = select(lab.train, lab.random(repeat, 2).permutation(lab.train.count).subarray(0, BATCH));
  network.learn(features, labels);
  // The last layer makes logits, and is no hidden one.
  const norms = network.dense.slice(0, DEPTH).map(({ weight }) => Math.hypot(...weight.gradient));
  network.dispose();
  return norms;
}
