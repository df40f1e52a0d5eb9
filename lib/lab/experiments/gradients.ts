/** Vanishing and exploding gradients. */

import { select } from '../../datasets/dataset';
import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { type Lab, range } from '../lab';
import type { ActivationName } from '../network/activation';
import { overRepeats, WITH, WITHOUT } from '../series';
import { median } from '../statistics';

const DEPTH = 24;
const BATCH = 128;
/** Half, once and twice He's or Glorot's scale: too small, right, and too large. */
const STARTS: readonly { activation: ActivationName; scale: number }[] = [
  { activation: 'relu', scale: 0.5 },
  { activation: 'relu', scale: 1 },
  { activation: 'relu', scale: 2 },
  { activation: 'tanh', scale: 0.5 },
  { activation: 'tanh', scale: 1 },
  { activation: 'tanh', scale: 2 },
  { activation: 'sigmoid', scale: 1 },
];
const FACTOR = 100;

export interface Norms {
  activation: ActivationName;
  scale: number;
  /** By repeat and layer: norm of the gradient of the layer's weights. */
  plain: readonly (readonly number[])[];
  normalized: readonly (readonly number[])[];
}

/** Greatest over least norm of the layers; Infinity where a gradient vanished altogether or is no number. */
function spread(norms: readonly number[]): number {
  const ratio = Math.max(...norms) / Math.min(...norms);
  return Number.isFinite(ratio) ? ratio : Infinity;
}

export function judge(starts: readonly Norms[]): Judgement {
  const spreads = starts.map(({ activation, scale, plain, normalized }) => ({
    name: `${activation} × ${scale}`,
    without: median(plain.map(spread)),
    within: median(normalized.map(spread)),
  }));
  const worstWithout = Math.max(...spreads.map(({ without }) => without));
  const worstWith = Math.max(...spreads.map(({ within }) => within));
  const better = spreads.filter(({ without, within }) => within < without);
  const worse = spreads
    .filter(({ without, within }) => within >= without)
    .map(({ name, without, within }) => `${name} (${formatNumber(within)} with, ${formatNumber(without)} without)`);
  return {
    shown: worstWithout / worstWith >= FACTOR,
    numbers: [
      { name: 'greatest spread of gradient norms, without ÷ with', value: worstWithout / worstWith },
      { name: 'greatest spread without', value: worstWithout },
      { name: 'greatest spread with', value: worstWith },
      { name: `starts of ${spreads.length} with the smaller spread with batch norm`, value: better.length },
      ...spreads.flatMap(({ name, without, within }) => [
        { name: `${name}: spread without`, value: without },
        { name: `${name}: spread with`, value: within },
      ]),
    ],
    sentence: `From the first to the last of ${DEPTH} layers gradient norms differ by up to ${formatNumber(worstWith)} times with batch norm and up to ${formatNumber(worstWithout)} without; ${worse.length === 0 ? 'no start is better off without' : `starts that are no better off with it: ${worse.join(', ')}`}.`,
  };
}

export const gradients: Experiment = {
  name: 'gradients',
  title: 'Vanishing and exploding gradients',
  claim: 'In deep networks batch norm keeps gradients from vanishing and exploding, whatever the scale of the weights.',
  source:
    'Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.3; that at the start gradients of deep networks with batch norm explode themselves: Yang et al. 2019, arXiv:1902.08129',
  criterion: `over several activations and scales of the first weights, the greatest ratio of gradient norms between two layers is at least ${FACTOR} times as high without batch norm`,
  async run(lab) {
    const repeats = range(lab.size(5, 15));
    const starts = await lab.each(STARTS, (start) => measure(lab, start, repeats));
    const layers = range(DEPTH).map((layer) => layer + 1);
    const plot = (activation: ActivationName) => ({
      kind: 'lines' as const,
      title: `Gradient norm by layer, ${activation}`,
      description: 'Norm of the gradient of the weights of each hidden layer at the start.',
      xLabel: 'hidden layer',
      wholeX: true,
      yLabel: 'norm (log)',
      yScale: 'log' as const,
      series: starts
        .filter((start) => start.activation === activation)
        .flatMap(({ scale, plain, normalized }, index) => [
          overRepeats(`with, × ${scale}`, layers, normalized, { color: WITH, dashed: index !== 1 }),
          overRepeats(`without, × ${scale}`, layers, plain, { color: [WITHOUT, 3, 4][index]!, dashed: index !== 1 }),
        ]),
    });
    return {
      ...judge(starts),
      setting: `${DEPTH} hidden layers at the start of training, gradients of the loss of ${BATCH} rows; weights at half, once and twice the usual scale (He's for ReLU, √(1 / inputs) for tanh and sigmoid); ${repeats.length} seeds.`,
      plots: (['relu', 'tanh', 'sigmoid'] as const).map(plot),
    };
  },
};

function measure(lab: Lab, { activation, scale }: (typeof STARTS)[number], repeats: readonly number[]): Norms {
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
