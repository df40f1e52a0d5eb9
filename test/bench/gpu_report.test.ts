/** What the GPU benchmark makes of its times: comparisons, sums over a step, tables and plots. */

import { expect } from 'chai';
import type { Summary } from '../../bench/cpu/statistics';
import { difference } from '../../bench/gpu/check';
import { bestRival, geometricMean, overFloor, overRival, secondsOf } from '../../bench/gpu/compare';
import { type Sum, sumsOf } from '../../bench/gpu/headline';
import type { Cell, ProblemResult } from '../../bench/gpu/measure';
import { OTHER_NETWORKS, RESNET50 } from '../../bench/gpu/networks';
import { parseOptions } from '../../bench/gpu/options';
import { planOf } from '../../bench/gpu/plan';
import { barPlots } from '../../bench/gpu/plot';
import { product } from '../../bench/gpu/problem';
import { newReport } from '../../bench/gpu/report';
import { roofline } from '../../bench/gpu/roofline';
import type { StepResult } from '../../bench/gpu/step';
import { failureLines, leftOutLines, ratioTable } from '../../bench/gpu/summary';
import { callTable, headlineTable, problemTable, stepTable } from '../../bench/gpu/table';

const summary = (median: number): Summary => ({ median, min: median, lowerQuartile: median, upperQuartile: median, samples: 3 });

function cell(times: Record<string, number>, given: Partial<Cell> = {}): Cell {
  return {
    operation: 'trainingForward',
    fused: 'none',
    cache: 'cold',
    bytes: 1e6,
    copySeconds: summary(1e-6),
    times: Object.entries(times).map(([contender, seconds]) => ({ contender, seconds: summary(seconds) })),
    ...given,
  };
}

const TIMES = { ours: 2e-6, 'cuDNN spatial': 4e-6, 'cuDNN spatial-persistent': 3e-6, 'PyTorch eager': 8e-6 };

/** Every shape of ResNet-50 at one batch, as if the time were a picosecond for each value and backward three times that. */
function resnet(factors: Record<string, number>, batch = 32): ProblemResult[] {
  return planOf({ networks: [RESNET50], batches: [batch], dtypes: ['float32'], layouts: ['channels last'], fused: ['none'] }).flatMap(
    (work) => {
      if (work.kind !== 'problem') return [];
      const forward = product(work.problem.shape) * 1e-12;
      const timed = (seconds: number, given: Partial<Cell>) =>
        cell(Object.fromEntries(Object.entries(factors).map(([name, factor]) => [name, factor * seconds])), {
          bytes: 1e12 * seconds,
          copySeconds: summary(seconds),
          ...given,
        });
      return { ...work.problem, cells: [timed(forward, {}), timed(3 * forward, { operation: 'backward' })] };
    },
  );
}

describe("GPU benchmark's report", () => {
  it('compares with the best of the others, whoever that is, and with the copy', () => {
    expect(bestRival(cell(TIMES))!.contender).to.equal('cuDNN spatial-persistent');
    expect(overRival(cell(TIMES))).to.be.closeTo(2 / 3, 1e-12);
    expect(overFloor(cell(TIMES))).to.equal(2);
    expect(secondsOf(cell(TIMES), 'cuDNN')).to.equal(3e-6);
    expect(secondsOf(cell(TIMES), 'PyTorch compile')).to.equal(null);
    expect(bestRival(cell({ ...TIMES, 'PyTorch compile': 1e-6 }))!.contender).to.equal('PyTorch compile');
    expect([bestRival(cell({ ours: 1 })), overRival(cell({ ours: 1 })), overRival(cell({ 'PyTorch eager': 1 }))]).to.deep.equal([
      null,
      null,
      null,
    ]);
  });

  it('averages ratios so that twice and half are once', () => {
    expect(geometricMean([2, null, 0.5])).to.equal(1);
    expect(geometricMean([null])).to.equal(null);
  });

  it('sums a step up with every batch norm as often as the network has it', () => {
    const values = RESNET50.layers.reduce(
      (sum, { channels, spatial, count }) => sum + channels * product(spatial) * Object.values(count).reduce((a, b) => a + b),
      0,
    );
    const sums = sumsOf(RESNET50, [32], resnet({ ours: 1.5, 'cuDNN spatial': 2 }));
    expect(sums).to.have.length(1);
    const [{ seconds, layers, ...setting }] = sums as [Sum];
    expect(setting).to.deep.equal({
      network: 'resnet50',
      batch: 32,
      layout: 'channels last',
      dtype: 'float32',
      fusion: 'plain',
      cache: 'cold',
    });
    expect(layers).to.equal(53);
    const step = 4 * 32 * values * 1e-12;
    expect(seconds.floor).to.be.closeTo(step, 1e-9);
    expect(seconds.ours).to.be.closeTo(1.5 * step, 1e-9);
    expect(seconds.cuDNN).to.be.closeTo(2 * step, 1e-9);
    expect(seconds['PyTorch eager']).to.equal(null);
    expect(values).to.equal(11_113_984);
  });

  it('has no sum where a shape is missing, and none of a rival without all of its times', () => {
    const problems = resnet({ ours: 1, 'PyTorch eager': 2 });
    expect(sumsOf(RESNET50, [32], problems.slice(1))).to.deep.equal([]);
    expect(sumsOf(RESNET50, [256], problems)).to.deep.equal([]);
    problems[3]!.cells[1]!.times.pop();
    expect(sumsOf(RESNET50, [32], problems)[0]!.seconds).to.include({ 'PyTorch eager': null });
    expect(sumsOf(OTHER_NETWORKS.find(({ name }) => name === '1d')!, [32], problems)).to.deep.equal([]);
  });

  it('notices who computes something else', () => {
    const values = { output: [1, 2, 100], gradient: [0, 0, 0] };
    expect(difference(values, { output: [1.01, 2, 101], gradient: [0, 0, 0.01] })).to.equal(null);
    expect(difference(values, { output: [1, 2.2, 100], gradient: [0, 0, 0] })).to.include(
      'the output of PyTorch begins with 1.00,2.20,100',
    );
    expect(difference(values, { output: [1, 2, 100], gradient: [0, 0, Number.NaN] })).to.include('the gradient of PyTorch');
  });

  it('has a row for each cell, with what is missing shown as missing', () => {
    const problem = { network: 'resnet50', shape: [32, 64, 56, 56], layout: 'channels first', dtype: 'float16' } as const;
    const table = problemTable({ ...problem, cells: [cell(TIMES), cell({ ours: 5e-6 }, { cache: 'warm', fused: 'add+relu' })] });
    expect(table).to.match(/^resnet50 \[32,64,56,56\] channels first float16\n/);
    expect(table).to.match(/training forward +none +cold +cuDNN spatial-persistent +3\.0 +2\.0 +0\.67 +1\.0 +2\.00$/m);
    expect(table).to.match(/training forward +add\+relu +warm +– +– +5\.0 +– +1\.0 +5\.00$/m);
  });

  it('says the headline: ours, cuDNN, PyTorch, the floor', () => {
    const text = headlineTable(sumsOf(RESNET50, [32], resnet({ ours: 1.5, 'cuDNN spatial': 2, 'PyTorch eager': 3 })));
    expect(text).to.match(/resnet50 ×53, batch 32 +channels last float32 +plain +cold +2134 +2845 +4268 +– +1423 +0\.75 +1\.50$/m);
  });

  it('says steps, calls and means', () => {
    const times = [{ contender: 'ours, CUDA graph', seconds: summary(3e-3), pipelined: summary(4e-3) }];
    const step: StepResult = {
      ...{ network: 'resnet50', batch: 32, layout: 'channels last', dtype: 'float32', fusion: 'fused' },
      ...{ layers: 53, bytes: 1, copySeconds: summary(2e-3), times },
    };
    expect(stepTable(step)).to.match(/^resnet50 step, batch 32.*: 53 batch norms[\s\S]*ours, CUDA graph +3000 +1\.50 +4000$/m);
    const call = { name: 'layer: forward', queued: summary(3e-6), done: summary(5e-6) };
    expect(callTable({ shape: [32, 64, 1, 1], calls: 9, times: [call, { ...call, queued: null }] })).to.match(
      /forward +3\.0 +5\.0\n.*forward +– +5\.0$/,
    );
    const means = ratioTable(resnet({ ours: 1.5, 'cuDNN spatial': 2 }));
    expect(means).to.match(/resnet50, batch 32, channels last float32 +none +– +0\/0 +– +0\.75 +0\/12 +1\.50 +0\.75 +0\/12 +1\.50$/m);
    expect(ratioTable(resnet({ ours: 1.5, 'cuDNN spatial': 2, 'PyTorch compile': 1 }))).to.match(/1\.50 +12\/12 +1\.50$/m);
  });

  it('says who failed, and what was left out', () => {
    const gpu = { description: 'a GPU', version: '', state: null, stateAfter: null };
    const report = newReport(parseOptions([]), {
      gpu,
      cudnn: null,
      pytorch: null,
      absent: [{ contender: 'cuDNN', reason: 'it is not here' }],
    });
    expect(leftOutLines(report)).to.deep.equal([]);
    report.failures.push({ contender: 'PyTorch compile', reason: 'no compiler', count: 7, first: 'there' });
    report.leftOut.push('1d [9,128,1] channels first float16, none', 'time per call', '1d [2,3,4] channels first float16, none');
    expect(failureLines(report)).to.deep.equal([
      'cuDNN is left out: it is not here',
      'PyTorch compile: no compiler (7 times, first: there)',
    ]);
    expect(leftOutLines(report)).to.deep.equal([
      'Left out when the 480 s were over (after 0 s): 3',
      '  1d […] channels first float16, none: 2',
      '  time per call: 1',
    ]);
  });

  it('draws bars and a roofline of what there is', () => {
    const problems = resnet({ ours: 1.5, 'cuDNN spatial': 2, 'PyTorch eager': 3 });
    const bars = barPlots({ headline: sumsOf(RESNET50, [32], problems), problems });
    expect(bars)
      .to.include('All batch norms of a training step')
      .and.include('Training forward, resnet50, batch 32, float32')
      .and.include('PyTorch eager');
    expect(bars.match(/<rect/g)).to.have.length(3 * (1 + 12 + 12));
    const dots = roofline(problems);
    expect(dots).to.include('Roofline: backward, cold L2').and.not.include('Roofline: inference').and.not.include('warm L2');
    expect(dots.match(/<path class="dots" stroke="var\(--c\d\)" d="M[^"]+(M[^"]+){11}"/g)).to.have.length(2 * 3);
    const lines = [...dots.matchAll(/<path class="line" stroke="var\(--c5\)" d="(M[^"]+)"/g)].map(([, path]) => path!.split('L').length);
    expect(lines).to.deep.equal([1, 6, 1, 6]); // a mark in the legend; six sizes, as some of the twelve shapes are equal in it

    for (const svg of [bars, dots, barPlots({ headline: [], problems: [] }), roofline([])])
      expect(svg)
        .to.match(/^<svg[\s\S]*<\/svg>\s*$/)
        .and.not.match(/NaN|undefined|Infinity/);
  });
});
