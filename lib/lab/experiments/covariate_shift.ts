/** Internal covariate shift: how the distribution of what each activation is given moves while the layers before it learn. */

import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import type { Network } from '../network/network';
import { train } from '../network/training';
import type { Values } from '../network/values';
import { overRepeats, WITH, WITHOUT } from '../series';
import { median } from '../statistics';

const DEPTH = 4;
const UNITS = 32;
const RATE = 0.05;
const BATCH = 32;
const PROBE = 256;
const OBSERVATIONS = 20;
const FACTOR = 1.5;

/** Mean and deviation of each unit of each layer, over a fixed batch. */
type Distribution = readonly { mean: number; deviation: number }[];

export interface Drifts {
  /** By repeat and layer: how far the distribution went in all, in deviations. */
  plain: readonly (readonly number[])[];
  normalized: readonly (readonly number[])[];
}

export function judge({ plain, normalized }: Drifts): Judgement {
  const layers = (repeats: Drifts['plain']) => range(plain[0]!.length).map((layer) => median(repeats.map((one) => one[layer]!)));
  const [without, within] = [layers(plain), layers(normalized)];
  const ratios = plain.flatMap((one, repeat) => one.map((drift, layer) => drift / normalized[repeat]![layer]!));
  const ratio = median(ratios);
  const last = without.length - 1;
  return {
    shown: ratio >= FACTOR,
    numbers: [
      { name: 'drift without ÷ with batch norm', value: ratio },
      { name: 'drift in the first layer without', value: without[0]! },
      { name: 'drift in the first layer with', value: within[0]! },
      { name: 'drift in the last layer without', value: without[last]! },
      { name: 'drift in the last layer with', value: within[last]! },
    ],
    sentence: `While training, the distribution of a unit's input moves ${formatNumber(ratio)} times as far without batch norm as with it (median over layers and seeds); in the last hidden layer ${formatNumber(without[last]!)} deviations without and ${formatNumber(within[last]!)} with.`,
  };
}

export const covariateShift: Experiment = {
  name: 'covariate-shift',
  title: 'Internal covariate shift',
  claim: "Batch norm reduces internal covariate shift: the distribution of each activation's input changes less during training.",
  source:
    'Ioffe & Szegedy 2015, arXiv:1502.03167, sections 2 and 4.1; that this is why batch norm helps is disputed by Santurkar et al. 2018, arXiv:1805.11604',
  criterion: `the way that the distributions go is at least ${FACTOR} times as long without batch norm, in the median over layers and seeds`,
  async run(lab) {
    const repeats = range(lab.size(5, 9));
    const steps = lab.size(200, 800);
    const runs = combinations([false, true], repeats);
    const observed = await lab.each(runs, ([norm, repeat]) => observe(lab, norm, repeat, steps));
    const of = (wanted: boolean) => observed.filter((_, index) => runs[index]![0] === wanted);
    const measured: Drifts = { plain: of(false).map(driftsOf), normalized: of(true).map(driftsOf) };
    const xs = range(OBSERVATIONS + 1).map((index) => (index * steps) / OBSERVATIONS);
    const layers = range(DEPTH).map((layer) => layer + 1);
    const lastLayer = (all: Distribution[][]) => (what: 'mean' | 'deviation') =>
      all.map((one) =>
        one.map((distribution) =>
          median(distribution.slice(-UNITS).map((unit) => (what === 'mean' ? Math.abs(unit.mean) : unit.deviation))),
        ),
      );
    return {
      ...judge(measured),
      setting: `${DEPTH} hidden layers, tanh; ${steps} steps of ${BATCH} rows, learning rate ${RATE}, momentum 0.9; mean and deviation of each unit's input over the same ${PROBE} rows, in training mode, ${OBSERVATIONS} times. The way from one to the next is √(Δmean² + Δdeviation²) over the deviation before; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Way of the distributions in all',
          description: 'Sum of the moves of the distribution of activation inputs, mean over the units, by hidden layer.',
          xLabel: 'hidden layer',
          wholeX: true,
          yLabel: 'way, in deviations (log)',
          yScale: 'log',
          series: [
            overRepeats('with batch norm', layers, measured.normalized, { color: WITH }),
            overRepeats('without batch norm', layers, measured.plain, { color: WITHOUT }),
          ],
        },
        {
          kind: 'lines',
          title: 'Last hidden layer: mean (solid) and deviation (dashed)',
          description: 'Of the units’ inputs: median over the units of |mean| and of the deviation, over the steps.',
          xLabel: 'step',
          yLabel: 'input of the activation',
          series: [
            overRepeats('|mean| with batch norm', xs, lastLayer(of(true))('mean'), { color: WITH }),
            overRepeats('|mean| without', xs, lastLayer(of(false))('mean'), { color: WITHOUT }),
            overRepeats('deviation with', xs, lastLayer(of(true))('deviation'), { color: WITH, dashed: true }),
            overRepeats('deviation without', xs, lastLayer(of(false))('deviation'), { color: WITHOUT, dashed: true }),
          ],
        },
      ],
    };
  },
};

function observe(lab: Lab, norm: boolean, repeat: number, steps: number): Distribution[] {
  const network = lab.network({
    depth: DEPTH,
    units: UNITS,
    activation: 'tanh',
    norm: norm ? 'before' : 'none',
    random: lab.random(repeat, 1),
  });
  const rows = Math.min(PROBE, lab.train.count);
  const probe = lab.train.features.subarray(0, rows * lab.train.width);
  const observations = [distributionOf(network, probe, rows)];
  const every = steps / OBSERVATIONS;
  const afterStep = (step: number) => {
    if (step % every === 0) observations.push(distributionOf(network, probe, rows));
  };
  train(network, lab.train, { steps, batchSize: BATCH, learningRate: RATE, random: lab.random(repeat, 2), afterStep });
  network.dispose();
  return observations;
}

/** Of all units, layer by layer. */
function distributionOf(network: Network, probe: Values, rows: number): Distribution {
  network.forward(probe, rows, true);
  return network.activations.flatMap(({ input }) =>
    range(input.length / rows).map((unit) => {
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += input[row * UNITS + unit]!;
      const mean = sum / rows;
      let squares = 0;
      for (let row = 0; row < rows; row++) squares += (input[row * UNITS + unit]! - mean) ** 2;
      return { mean, deviation: Math.sqrt(squares / rows) };
    }),
  );
}

/** By layer: the sum of all moves, mean over the units. */
export function driftsOf(observations: readonly Distribution[]): number[] {
  return range(observations[0]!.length / UNITS).map((layer) => {
    let way = 0;
    for (let index = 1; index < observations.length; index++) {
      for (let unit = layer * UNITS; unit < (layer + 1) * UNITS; unit++) {
        const [from, to] = [observations[index - 1]![unit]!, observations[index]![unit]!];
        way += Math.hypot(to.mean - from.mean, to.deviation - from.deviation) / from.deviation / UNITS;
      }
    }
    return way;
  });
}
