/** Verdicts follow from numbers: made-up ones here, that show an effect, and that do not. */

import { expect } from 'chai';
import * as convergence from '../../lib/lab/experiments/convergence';
import * as covariateShift from '../../lib/lab/experiments/covariate_shift';
import * as depth from '../../lib/lab/experiments/depth';
import * as gradients from '../../lib/lab/experiments/gradients';
import * as initialization from '../../lib/lab/experiments/initialization';
import * as learningRate from '../../lib/lab/experiments/learning_rate';
import * as placement from '../../lib/lab/experiments/placement';
import * as regularization from '../../lib/lab/experiments/regularization';
import * as recurrence from '../../lib/lab/experiments/recurrence';
import * as smallBatches from '../../lib/lab/experiments/small_batches';
import * as statistics from '../../lib/lab/experiments/statistics';
import { median } from '../../lib/lab/statistics';

describe('verdicts of the lab', () => {
  it('statistics: shown where the distance falls far enough in both ways', () => {
    const distances = (one: number, batches: number) => ({ one: [[1, one]], batches: [[1, batches]], cumulative: [[1, batches]] });
    expect(statistics.judge(distances(0.01, 0.3)).shown).to.equal(true);
    expect(statistics.judge(distances(0.03, 0.3)).shown).to.equal(false);
    expect(statistics.judge(distances(0.01, 0.4)).shown).to.equal(false);
    expect(statistics.judge(distances(0.01, Number.NaN)).shown).to.equal(false);
  });

  it('placement: shown where before is better by far and mostly', () => {
    const pair = (before: number, after: number) => ({
      activation: 'relu' as const,
      before: { loss: before, accuracy: 0.5 },
      after: { loss: after, accuracy: 0.5 },
      none: { loss: 1, accuracy: 0.5 },
    });
    expect(placement.judge([pair(1, 1.2), pair(1, 1.2), pair(1, 1.2), pair(1, 0.9)]).shown).to.equal(true);
    expect(placement.judge([pair(1, 1.2), pair(1, 1.2), pair(1, 0.9), pair(1, 1.2), pair(1, 0.9)]).shown).to.equal(false);
    expect(placement.judge([pair(1, 1.05)]).shown).to.equal(false);
    expect(placement.judge([pair(1, 0.5)]).shown).to.equal(false);
  });

  it('covariate-shift: shown where the way is longer without', () => {
    expect(covariateShift.judge({ plain: [[3, 4]], normalized: [[1, 1]] }).shown).to.equal(true);
    expect(covariateShift.judge({ plain: [[1, 1]], normalized: [[1, 1]] }).shown).to.equal(false);
    expect(covariateShift.judge({ plain: [[Number.NaN]], normalized: [[1]] }).shown).to.equal(false);
  });

  it('covariate-shift: the way of a distribution is that of its mean and deviation together, in deviations', () => {
    const layers = (...units: [mean: number, deviation: number][]) =>
      units.flatMap(([mean, deviation]) => new Array(32).fill({ mean, deviation }));
    const ways = covariateShift.driftsOf([layers([0, 1], [0, 2]), layers([3, 5], [0, 2]), layers([3, 5], [1, 2])]);
    expect(ways.map((way) => way.toFixed(6))).to.deep.equal(['5.000000', '0.500000']);
  });

  it('convergence: shown where it takes more steps without, or never gets there', () => {
    const steps = (plain: number[], normalized: number[]) =>
      convergence.judge({ rates: [0.1, 1], plain: [plain], normalized: [normalized] });
    expect(steps([300, 150], [100, 400]).shown).to.equal(true);
    expect(steps([140, 400], [400, 100]).shown).to.equal(false);
    expect(steps([Infinity, Infinity], [100, 100]).shown).to.equal(true);
    expect(steps([100, 100], [Infinity, Infinity]).shown).to.equal(false);
    expect(steps([Infinity, Infinity], [Infinity, Infinity]).shown).to.equal(false);
    expect(convergence.stepsTo(0.5, [1, 0.6, 0.5, 0.7])).to.equal(3);
    expect(convergence.stepsTo(0.5, [1, Number.NaN])).to.equal(Infinity);
  });

  it('learning-rate: shown where a usable rate is three times as high with', () => {
    const sweep = (plain: number[], normalized: number[]) =>
      learningRate.judge({ settings: [0.1, 0.3, 1], plain: [plain], normalized: [normalized] });
    expect(sweep([0.8, 0.1, 0.1], [0.8, 0.8, 0.1]).shown).to.equal(true);
    expect(sweep([0.8, 0.8, 0.8], [0.8, 0.8, 0.8]).shown).to.equal(false);
    expect(sweep([0.8, 0.8, 0.8], [0.8, 0.1, 0.1]).shown).to.equal(false);
    // A network that never learns has no usable rate, and is not said to bear them all.
    expect(sweep([0.1, 0.1, 0.1], [0.8, 0.1, 0.1]).shown).to.equal(true);
    expect(sweep([0.8, 0.1, 0.1], [0.1, 0.1, 0.1]).shown).to.equal(false);
  });

  it('initialization: shown where usable scales span a decade more with', () => {
    const sweep = (plain: number[], normalized: number[]) =>
      initialization.judge({ settings: [0.1, 1, 10], plain: [plain], normalized: [normalized] });
    expect(sweep([0.1, 0.8, 0.1], [0.8, 0.8, 0.1]).shown).to.equal(true);
    expect(sweep([0.8, 0.8, 0.1], [0.8, 0.8, 0.1]).shown).to.equal(false);
    expect(sweep([0.1, 0.8, 0.1], [0.8, 0.1, 0.8]).shown).to.equal(false); // no span: what is between fails
  });

  it('gradients: shown where norms spread much more without, for every activation', () => {
    const norms = (activation: 'relu' | 'tanh', plain: number[], normalized: number[]) => ({
      activation,
      scale: 1,
      plain: [plain],
      normalized: [normalized],
    });
    const relu = norms('relu', [1e-6, 1], [1, 2]);
    expect(gradients.judge([relu]).shown).to.equal(true);
    expect(gradients.judge([relu, norms('tanh', [1, 2], [1, 2])]).shown).to.equal(false);
    expect(gradients.judge([norms('relu', [0, 1], [1, 2])]).shown).to.equal(true); // it vanished
    expect(gradients.judge([norms('relu', [0, 1], [0, 1])]).shown).to.equal(false);
    // It vanished with and without: no advantage, whichever activation comes first.
    const vanished = norms('tanh', [0, 1], [0, 1]);
    for (const starts of [
      [relu, vanished],
      [vanished, relu],
    ]) {
      const { shown, numbers } = gradients.judge(starts);
      expect(shown).to.equal(false);
      expect(numbers[0]!.value).to.equal(0);
    }
    // Each scale is even, and they are far from each other: that is vanishing too.
    const even = [norms('relu', [1e-9, 1e-9], [1, 1]), norms('relu', [1, 1], [1, 1])];
    expect(gradients.judge(even).shown).to.equal(true);
  });

  it('depth: shown where a usable network is twice as deep with', () => {
    const sweep = (plain: number[], normalized: number[]) => depth.judge({ settings: [1, 2, 4], plain: [plain], normalized: [normalized] });
    expect(sweep([0.8, 0.8, 0.1], [0.8, 0.8, 0.8]).shown).to.equal(true);
    expect(sweep([0.8, 0.8, 0.8], [0.8, 0.8, 0.8]).shown).to.equal(false);
    expect(sweep([0.8, 0.8, 0.8], [0.8, 0.8, 0.1]).shown).to.equal(false);
  });

  it('regularization: shown where the gap is smaller with, for most seeds', () => {
    const run = (plain: number, norm: number) => {
      const of = (gap: number) => ({ train: 1, test: 1 - gap });
      return { plain: of(plain), norm: of(norm), dropout: of(0.1), both: of(0.1) };
    };
    expect(regularization.judge([run(0.2, 0.1), run(0.2, 0.1), run(0.2, 0.1), run(0.1, 0.2)]).shown).to.equal(true);
    expect(regularization.judge([run(0.2, 0.1), run(0.2, 0.1), run(0.1, 0.2)]).shown).to.equal(false);
    expect(regularization.judge([run(0.2, 0.195)]).shown).to.equal(false);
    expect(regularization.judge([run(0.1, 0.2)]).shown).to.equal(false);
  });

  it('small-batches: shown where batch norm loses to small batches, and more than the network without', () => {
    const sweep = (none: number[], norm: number[]) =>
      smallBatches.judge({
        sizes: [2, 32],
        accuracies: { none: [none], norm: [norm], recalibrated: [norm], renorm: [[0.7, 0.8]], ghost: [norm] },
      });
    const found = sweep([0.8, 0.8], [0.6, 0.8]);
    expect(found.shown).to.equal(true);
    expect(found.numbers.find(({ name }) => name.includes('renormalization'))!.value).to.be.closeTo(0.5, 1e-9);
    expect(sweep([0.8, 0.8], [0.8, 0.8]).shown).to.equal(false);
    expect(sweep([0.4, 0.8], [0.6, 0.8]).shown).to.equal(false);
    expect(sweep([0.8, 0.8], [0.8, 0.6]).shown).to.equal(false);
  });

  it('recurrence: shown where statistics of each step are better, for most seeds', () => {
    const run = (shared: number, steps: number) => {
      const of = (inUse: number) => ({ inUse, ofBatch: 0.9 });
      return { none: of(0.7), input: of(0.7), shared: of(shared), steps: of(steps) };
    };
    expect(recurrence.judge([run(0.7, 0.8), run(0.7, 0.8), run(0.7, 0.8), run(0.8, 0.7)]).shown).to.equal(true);
    expect(recurrence.judge([run(0.7, 0.8), run(0.7, 0.8), run(0.8, 0.7)]).shown).to.equal(false);
    expect(recurrence.judge([run(0.7, 0.705)]).shown).to.equal(false);
    expect(recurrence.judge([run(0.8, 0.7)]).shown).to.equal(false);
  });

  it('go by the median, which is no number where one is none', () => {
    expect(median([3, 1, 2])).to.equal(2);
    expect(median([4, 1, 2, 3])).to.equal(2.5);
    expect(median([Number.NaN, 1, 2])).to.be.NaN;
    expect(median([Infinity, 1, Infinity])).to.equal(Infinity);
  });
});
