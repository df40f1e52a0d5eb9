/** Faster convergence. */

import { formatNumber } from '../../report';
import type { Experiment, Judgement } from '../experiment';
import { combinations, type Lab, range } from '../lab';
import { train } from '../network/training';
import { overRepeats, WITH, WITHOUT } from '../series';
import { mean, median } from '../statistics';

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

export function judge({ rates, plain, normalized }: Steps): Judgement {
  const best = (repeats: Steps['plain']) => {
    const medians = rates.map((_, index) => median(repeats.map((one) => one[index]!)));
    const steps = Math.min(...medians);
    return { steps, rate: rates[medians.indexOf(steps)]!, medians };
  };
  const [without, within] = [best(plain), best(normalized)];
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
    const runs = combinations(combinations(repeats, [false, true]), RATES);
    const losses = await lab.each(runs, ([[repeat, norm], rate]) => smoothLosses(lab, repeat, norm, rate, most));
    const of = (wanted: boolean) =>
      runs.map(([[repeat, norm], rate], index) => ({ repeat, norm, rate, losses: losses[index]! })).filter(({ norm }) => norm === wanted);
    const steps = (wanted: boolean) =>
      repeats.map((repeat) =>
        RATES.map((rate) => stepsTo(TARGET, of(wanted).find((run) => run.repeat === repeat && run.rate === rate)!.losses)),
      );
    const measured: Steps = { rates: RATES, plain: steps(false), normalized: steps(true) };
    const judgement = judge(measured);
    const rateOf = (name: string) => judgement.numbers.find((number) => number.name === name)!.value;
    const xs = range(Math.floor(most / WINDOW)).map((index) => (index + 1) * WINDOW);
    const line = (norm: boolean, rate: number) =>
      overRepeats(
        `${norm ? 'with' : 'without'} batch norm, rate ${rate}`,
        xs,
        of(norm)
          .filter((run) => run.rate === rate)
          .map((run) => xs.map((step) => run.losses[step - 1] ?? Number.NaN)),
        { color: norm ? WITH : WITHOUT },
      );
    return {
      ...judgement,
      setting: `${DEPTH} hidden layers, ReLU, He's initialization; at most ${most} steps of ${BATCH} rows, momentum 0.9, learning rates ${RATES.join(', ')}; ${repeats.length} seeds.`,
      plots: [
        {
          kind: 'lines',
          title: 'Training loss, each at its best rate',
          description: `Cross-entropy over the steps, mean of ${WINDOW}.`,
          xLabel: 'step',
          yLabel: 'loss (log)',
          yScale: 'log',
          series: [line(true, rateOf('best rate with')), line(false, rateOf('best rate without'))],
        },
        {
          kind: 'lines',
          title: `Steps to a loss of ${TARGET}`,
          description: 'Steps over the learning rate; no point where the loss was not reached.',
          xLabel: 'learning rate (log)',
          xScale: 'log',
          xTicks: RATES,
          yLabel: 'steps (log)',
          yScale: 'log',
          series: [
            overRepeats('with batch norm', RATES, measured.normalized, { color: WITH }),
            overRepeats('without batch norm', RATES, measured.plain, { color: WITHOUT }),
          ],
        },
      ],
    };
  },
};

/** After each step the mean loss of the last batches. */
function smoothLosses(lab: Lab, repeat: number, norm: boolean, rate: number, steps: number): number[] {
  const network = lab.network({ depth: DEPTH, activation: 'relu', norm: norm ? 'before' : 'none', random: lab.random(repeat, 1) });
  const losses = train(network, lab.train, { steps, batchSize: BATCH, learningRate: rate, random: lab.random(repeat, 2) });
  network.dispose();
  return losses.map((_, index) => mean(losses.slice(Math.max(0, index + 1 - WINDOW), index + 1)));
}

/** The first step after which the loss is at most the target; Infinity where it never is. */
export function stepsTo(target: number, losses: readonly number[]): number {
  const index = losses.findIndex((loss) => loss <= target);
  return index < 0 ? Infinity : index + 1;
}
