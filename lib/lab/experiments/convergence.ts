/** Faster convergence. */

import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { type Lab, range } from '../lab';
import { train } from '../network/training';
import { overRepeats, WITH, WITHOUT } from '../series';
import { mean, median } from '../statistics';
import { measureSweep } from '../sweep';

const RATES = [0.01, 0.03, 0.1, 0.3];
const DEPTH = 4;
const BATCH = 32;
/** Mean loss over the last few batches that counts as having arrived. */
const TARGET = 0.5;
const WINDOW = 10;
const FACTOR = 1.5;

export interface Steps {
  rates: readonly number[];
  /** Steps to the target by repeat and rate; Infinity where it was not reached. */
  plain: readonly (readonly number[])[];
  normalized: readonly (readonly number[])[];
}

/** The rate with the fewest steps, by their median. */
function best(rates: readonly number[], repeats: Steps['plain']): { steps: number; rate: number; medians: number[] } {
  const medians = rates.map((_, index) => median(repeats.map((one) => one[index]!)));
  const steps = Math.min(...medians);
  return { steps, rate: rates[medians.indexOf(steps)]!, medians };
}

export function judge({ rates, plain, normalized }: Steps): Judgement {
  const without = best(rates, plain);
  const within = best(rates, normalized);
  const ratio = Number.isFinite(within.steps) ? without.steps / within.steps : 0;
  const atSameRate = within.medians[rates.indexOf(without.rate)]!;
  return {
    shown: ratio >= FACTOR,
    numbers: [
      { name: 'steps without ÷ steps with, each at its best rate', value: ratio },
      { name: 'steps without', value: without.steps },
      { name: 'steps with', value: within.steps },
      { name: "steps with, at the other's best rate", value: atSameRate },
      { name: 'best rate without', value: without.rate },
      { name: 'best rate with', value: within.rate },
    ],
    sentence: `To a training loss of ${TARGET} it takes ${formatNumber(within.steps)} steps with batch norm and ${formatNumber(without.steps)} without, each at the best of ${rates.length} learning rates (${within.rate} and ${without.rate}); at the latter's rate ${formatNumber(atSameRate)} with.`,
  };
}

export const convergence: Experiment = {
  name: 'convergence',
  title: 'Faster convergence',
  claim: 'With batch norm a network reaches the same training loss in fewer steps.',
  source: 'Ioffe & Szegedy 2015, arXiv:1502.03167, section 4.2',
  criterion: `the median of the steps to a training loss of ${TARGET}, each network at the learning rate best for it, is at least ${FACTOR} times as high without batch norm`,
  async run(lab) {
    const repeats = range(lab.size(3, 5));
    const most = lab.size(200, 1000);
    const losses = await measureSweep(lab, repeats, RATES, (batchNorm, repeat, rate) => smoothLosses(lab, batchNorm, repeat, rate, most));
    const steps = (runs: number[][][]) => runs.map((run) => run.map((ofRate) => stepsTo(TARGET, ofRate)));
    const measured: Steps = { rates: RATES, plain: steps(losses.plain), normalized: steps(losses.normalized) };
    const xs = range(Math.floor(most / WINDOW)).map((index) => (index + 1) * WINDOW);
    const line = (name: string, runs: number[][][], rate: number, color: number) => {
      const ofRate = runs.map((run) => run[RATES.indexOf(rate)]!);
      const atXs = ofRate.map((values) => xs.map((step) => values[step - 1] ?? Number.NaN));
      return overRepeats(`${name} batch norm, rate ${rate}`, xs, atXs, { color });
    };
    return {
      ...judge(measured),
      setting: `${DEPTH} hidden layers, ReLU, He's initialization; at most ${most} steps of ${BATCH} rows, momentum 0.9, learning rates ${RATES.join(', ')}; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Training loss, each at its best rate',
          description: `Cross-entropy over the steps, mean of ${WINDOW}.`,
          xLabel: 'step',
          yLabel: 'loss (log)',
          yScale: 'log',
          series: [
            line('with', losses.normalized, best(RATES, measured.normalized).rate, WITH),
            line('without', losses.plain, best(RATES, measured.plain).rate, WITHOUT),
          ],
        },
        {
          kind: 'bars',
          title: `Steps to a loss of ${TARGET}`,
          description: 'Steps by learning rate; no bar where the loss was not reached.',
          yLabel: 'steps; no bar: not reached',
          categories: RATES.map((rate) => `rate ${rate}`),
          series: [
            { name: 'with batch norm', color: WITH, values: best(RATES, measured.normalized).medians },
            { name: 'without batch norm', color: WITHOUT, values: best(RATES, measured.plain).medians },
          ],
        },
      ],
    };
  },
};

/** After each step the mean loss of the last batches. */
function smoothLosses(lab: Lab, batchNorm: boolean, repeat: number, rate: number, steps: number): number[] {
  const network = lab.network({ depth: DEPTH, activation: 'relu', norm: batchNorm ? 'before' : 'none', random: lab.random(repeat, 1) });
  const losses = train(network, lab.train, { steps, batchSize: BATCH, learningRate: rate, random: lab.random(repeat, 2) });
  network.dispose();
  return losses.map((_, index) => mean(losses.slice(Math.max(0, index + 1 - WINDOW), index + 1)));
}

/** The first step after which the loss is at most the target; Infinity where it never is. */
export function stepsTo(target: number, losses: readonly number[]): number {
  const index = losses.findIndex((loss) => loss <= target);
  return index < 0 ? Infinity : index + 1;
}
