import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Contender } from '../../bench/cpu/contender';
import { timeCalls } from '../../bench/cpu/contender';
import { EPS, inputOf, parametersOf } from '../../bench/cpu/data';
import { type Copy, FLOORS, NATIVE, startCopy, startFloor, startNative } from '../../bench/cpu/helper';
import { commit } from '../../bench/cpu/machine';
import { measure, type ProblemResult } from '../../bench/cpu/measure';
import { openSession } from '../../bench/cpu/onnxruntime';
import { parseOptions } from '../../bench/cpu/options';
import { measureOverhead, OURS, openLayer } from '../../bench/cpu/ours';
import { plot } from '../../bench/cpu/plot';
import { fewestBytes, OPERATIONS, type Problem, problems, SHAPES, target } from '../../bench/cpu/problem';
import { poolReports, type Report } from '../../bench/cpu/report';
import { quantile, type Summary, summarize } from '../../bench/cpu/statistics';
import { missedBy, OPERATION_NAMES, overheadLine, problemTable, ratio } from '../../bench/cpu/table';
import { makeTensors, startTensorFlow } from '../../bench/cpu/tensorflow';
import { newestResult } from '../../bench/newest_result';
import { UsageError } from '../../lib/cli/usage';
import { batchStatistics, forward, type Statistics, viewOf } from '../../lib/validation/oracle';
import { readme } from '../helpers/readme';

const ROOT = join(__dirname, '../..');
const SMALL: Problem[] = problems([[3, 5, 4, 2]]);

/** A contender whose bursts take the given times, in order; the first of them twice, for the calibration. */
function scripted(name: string, times: number[]): Contender {
  const remaining = [times[0]!, ...times];
  const prepared = { burst: async () => remaining.shift()!, release: () => {} };
  return { name, version: '1', note: '', operations: ['inference'], prepare: async () => prepared, close: () => {} };
}

function scriptedCopy(times: number[]): Copy {
  const remaining = [times[0]!, ...times];
  return { burst: async () => remaining.shift()!, close: () => {} };
}

/** In float64, in the problem's layout: with the statistics of the data for training, with the given ones for inference. */
function expected(problem: Problem, operation: 'inference' | 'trainingForward'): Float64Array {
  const [n, c, h, w] = problem.shape;
  const view = problem.layout === 'channels first' ? viewOf([n, c, h, w]) : viewOf([n, h, w, c], -1);
  const { mean, variance, weight, bias } = parametersOf(problem);
  const x = inputOf(problem);
  const statistics: Statistics = operation === 'inference' ? { mean, variance } : batchStatistics(x, view);
  return forward(x, view, statistics, { weight, bias, eps: EPS });
}

/** A problem's rows of the README's table. */
function readmeRows({ shape, layout, results }: ProblemResult): string[] {
  const implementations = [OURS, FLOORS.bytes.name, FLOORS.arithmetic.name, 'PyTorch', 'onnxruntime-node', 'TensorFlow.js wasm'];
  return OPERATIONS.map((operation) => {
    const cells = implementations.map((name) => {
      const result = results.find((one) => one.implementation === name && one.operation === operation);
      return result ? ratio(result.copies) : '–';
    });
    const problem = operation === 'inference' ? ` ${shape.join('×')}, ${layout}` : '';
    return `|${problem} | ${OPERATION_NAMES[operation]} | **${cells[0]}** | ${cells.slice(1).join(' | ')} |\n`;
  });
}

function expectClose(actual: ArrayLike<number>, wanted: Float64Array): void {
  expect(actual.length).to.equal(wanted.length);
  const worst = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i]!)), 0);
  expect(worst).to.be.at.most(1e-5);
}

describe('CPU benchmark', () => {
  it('knows the commit of files that were copied without their repository', () => {
    const before = process.env.BENCH_COMMIT;
    process.env.BENCH_COMMIT = '0123abc';
    try {
      expect(commit()).to.equal('0123abc');
    } finally {
      if (before === undefined) delete process.env.BENCH_COMMIT;
      else process.env.BENCH_COMMIT = before;
    }
  });

  it('sums times up by order statistics', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).to.equal(2.5);
    expect(summarize([5, 1, 4, 2, 3])).to.deep.equal({ median: 3, min: 1, lowerQuartile: 2, upperQuartile: 4, samples: 5 });
  });

  it('counts calls, not the warm-up, and waits for what is queued', async () => {
    const log: string[] = [];
    const seconds = await timeCalls(
      4,
      () => void log.push('call'),
      () => void log.push('finish'),
    );
    expect(log).to.deep.equal(['call', 'finish', 'call', 'call', 'call', 'call', 'finish']);
    expect(seconds).to.be.at.least(0);
  });

  it('pairs every burst with the copy before it', async () => {
    const problem: Problem = { shape: [32, 64, 56, 56], layout: 'channels first' };
    // The first time of each is the calibration's.
    const ours = scripted('ours', [1, 1.2, 4, 1.8]);
    const other = scripted('other', [1, 10, 20, 30]);
    const copy = scriptedCopy([1, 1, 1, 4, 2, 2, 2]);
    const result = await measure(problem, [ours, other], copy, {
      rounds: 3,
      burstSeconds: 0.01,
      ours: 'ours',
      floor: 'floor',
      arithmetic: 'arithmetic',
    });
    const [first, second] = result.results;
    expect(first).to.deep.include({ implementation: 'ours', operation: 'inference', copies: 1, target: 1.05, met: true });
    expect(first!.seconds.median).to.equal(1.8);
    expect(second).to.deep.include({ implementation: 'other', copies: 10 });
    expect(second).not.to.have.property('met');
    expect(result.copySeconds).to.deep.include({ median: 2, min: 1, samples: 6 });
  });

  it('fills bursts with as many calls as a warm burst says, not the first one', async () => {
    const counts: number[] = [];
    const burst = async (_operation: unknown, calls: number) => {
      counts.push(calls);
      return counts.length === 1 ? 1e-3 : 1e-4; // seconds for each call
    };
    const ours: Contender = { ...scripted('ours', [1]), prepare: async () => ({ burst, release: () => {} }) };
    const copy: Copy = { burst: async () => 1, close: () => {} };
    await measure(SMALL[0]!, [ours], copy, { rounds: 2, burstSeconds: 0.03, ours: 'ours', floor: 'floor', arithmetic: 'arithmetic' });
    expect(counts).to.deep.equal([1, 30, 300, 300]);
  });

  it('takes the median of launches, and holds that against the target', async () => {
    const problem: Problem = { shape: [32, 64, 56, 56], layout: 'channels first' };
    const launch = async (copies: number, floor: number): Promise<Report> => {
      const contenders = [scripted('ours', [1, copies]), scripted('floor', [1, floor])];
      const result = await measure(problem, contenders, scriptedCopy([1, 1, 1]), {
        rounds: 1,
        burstSeconds: 1,
        ours: 'ours',
        floor: 'floor',
        arithmetic: 'arithmetic',
      });
      return { ...newestResult<Report>('-threads.json'), rounds: 1, problems: [result] };
    };
    const report = poolReports([await launch(2, 1.3), await launch(1.02, 1.1), await launch(1.01, 1.2)]);
    expect(report).to.deep.include({ launches: 3, rounds: 1 });
    const [first, second] = report.problems[0]!.results;
    expect(first).to.deep.include({ copies: 1.02, copiesOfLaunches: [2, 1.02, 1.01], met: true, target: 1.05, floor: 1.2 });
    expect(first!.seconds).to.deep.equal({ median: 1.02, min: 1.01, lowerQuartile: 1.02, upperQuartile: 1.02, samples: 3 });
    expect(second).to.deep.include({ copies: 1.2, copiesOfLaunches: [1.3, 1.1, 1.2] });
    expect(report.problems[0]!.copySeconds).to.deep.include({ median: 1, samples: 6 });
    expect(report.overhead!.pipelinedMet).to.be.a('boolean');
  });

  it('calls a target missed that was missed', async () => {
    const problem: Problem = { shape: [32, 64, 56, 56], layout: 'channels first' };
    const result = await measure(problem, [scripted('ours', [1, 2.3])], scriptedCopy([1, 2]), {
      rounds: 1,
      burstSeconds: 1,
      ours: 'ours',
      floor: 'floor',
      arithmetic: 'arithmetic',
    });
    expect(result.results[0]!.met).to.equal(false);
  });

  it('knows the bytes and the targets', () => {
    const [first, last] = problems([SHAPES[0]!]) as [Problem, Problem];
    expect(fewestBytes(first, 'inference')).to.equal(2 * 4 * 32 * 64 * 56 * 56);
    expect(fewestBytes(last, 'backward')).to.equal(3 * 4 * 32 * 64 * 56 * 56);
    expect([first, last].map((problem) => target(problem, 'backward'))).to.deep.equal([2, 2.5]);
    expect(target({ shape: [32, 512, 7, 7], layout: 'channels last' }, 'trainingForward')).to.equal(1.55);
  });

  it('sets ours beside the floor, and says of a target whether the floor would have met it', async () => {
    const burst = { rounds: 1, burstSeconds: 1, ours: 'ours', floor: 'floor', arithmetic: 'arithmetic' };
    const floor = scripted('floor', [1, 1.5]);
    const high = await measure(SMALL[0]!, [scripted('ours', [1, 3]), floor], scriptedCopy([1, 1, 1]), burst);
    expect(high.results[0]).to.deep.include({ copies: 3, floor: 1.5, met: false });
    expect(high.results[1]).not.to.have.property('floor');
    expect(missedBy(high.results[0]!)).to.equal('3.00 > 1.05; the floor is 1.50, above the target, and ours 2.00 of it');
    expect(problemTable(high)).to.match(/ours .* 3\.00 +2\.00 +≤ 1\.05 MISSED, as by the floor$/m);

    const low = await measure(SMALL[0]!, [scripted('ours', [1, 3]), scripted('floor', [1, 1])], scriptedCopy([1, 1, 1]), burst);
    expect(missedBy(low.results[0]!)).to.equal('3.00 > 1.05; the floor is 1.00, below the target, and ours 3.00 of it');
    expect(problemTable(low)).to.match(/ours .* 3\.00 +3\.00 +≤ 1\.05 MISSED$/m);

    const both = [scripted('ours', [1, 3]), scripted('floor', [1, 1]), scripted('arithmetic', [1, 1.2])];
    const computed = await measure(SMALL[0]!, both, scriptedCopy([1, 1, 1, 1]), burst);
    expect(computed.results[0]).to.deep.include({ floor: 1, arithmeticFloor: 1.2 });
    expect(missedBy(computed.results[0]!)).to.match(/; with arithmetic it is 1\.20, above the target, and ours 2\.50 of it$/);
    expect(problemTable(computed)).to.match(/ours .* 3\.00 +3\.00 +2\.50 +≤ 1\.05 MISSED, as by the floor with arithmetic$/m);
  });

  for (const kind of ['bytes', 'arithmetic'] as const) {
    it(`measures the floor of ${kind} in a process of its own, and tells which way was best`, async () => {
      const floor = await startFloor(kind, 2);
      try {
        for (const problem of SMALL) {
          const prepared = await floor.prepare(problem);
          for (const operation of OPERATIONS) {
            expect(prepared.way!(operation)).to.equal(undefined);
            expect(await prepared.burst(operation, 3)).to.be.greaterThan(0);
            expect(prepared.way!(operation)).to.match(
              /^in (order, shared by (rows|channels)|tiles of \d+ KiB( fetched ahead)?), .* read and .* written at once/,
            );
          }
        }
      } finally {
        floor.close();
      }
    });
  }

  for (const kind of ['whole', 'handed', 'kernels'] as const) {
    it(`measures ${NATIVE[kind].name} in a process of its own`, async function () {
      const native = await startNative(kind, 2);
      if (!native) this.skip(); // which has said why
      try {
        for (const problem of SMALL) {
          const prepared = await native.prepare(problem);
          for (const operation of native.operations) expect(await prepared.burst(operation, 3)).to.be.greaterThan(0);
        }
      } finally {
        native.close();
      }
    });
  }

  it("has the README's figures among its results", () => {
    const report = newestResult<Report>('-threads.json');
    expect(readme()).to.include(report.problems.flatMap(readmeRows).join(''));
    const { pipelined, awaited, arithmetic } = report.overhead!;
    const beyond = [pipelined, awaited].map(({ median }) => ((median - arithmetic.median) * 1e6).toFixed(1));
    expect(readme().replaceAll(/\s+/g, ' ')).to.include(
      `takes ${beyond[0]} µs beyond its arithmetic where steps are queued one after the other, and ${beyond[1]} µs where each is awaited`,
    );
  });

  it('takes the arithmetic of a small step from its time', async () => {
    const { pipelined, awaited, arithmetic, target: most, pipelinedMet, awaitedMet } = await measureOverhead(3, 50, 0);
    expect(arithmetic.median).to.be.greaterThan(0).and.lessThan(awaited.median);
    expect(pipelinedMet).to.equal(pipelined.median - arithmetic.median <= most);
    expect(awaitedMet).to.equal(awaited.median - arithmetic.median <= most);
    const known = { shape: [2], target: 15e-6, pipelinedMet: true, awaitedMet: false };
    const [one, two, three] = [2e-6, 16e-6, 30e-6].map((time) => summarize([time])) as [Summary, Summary, Summary];
    expect(overheadLine({ ...known, arithmetic: one, pipelined: two, awaited: three }))
      .to.match(/back to back: 16\.0 µs, 14\.0 beyond it \(≤ 15\.0 met\)/)
      .and.to.match(/awaited: 30\.0 µs, 28\.0 beyond it \(≤ 15\.0 MISSED\)/);
  });

  it('shows every result in the table and in the plot', async () => {
    const contenders = [scripted('one', [1, 2]), scripted('another & co', [1, 3])];
    const result = await measure(SMALL[0]!, contenders, scriptedCopy([1, 1, 1]), {
      rounds: 1,
      burstSeconds: 1,
      ours: 'one',
      floor: 'floor',
      arithmetic: 'arithmetic',
    });
    expect(problemTable(result)).to.match(/inference +one .* 2\.00 +≤ 1\.05 MISSED/);
    const svg = plot([result], ['one', 'another & co']);
    expect(svg)
      .to.match(/^<svg[\s\S]*<\/svg>\s*$/)
      .and.to.include('another &amp; co')
      .and.to.include('a plain copy');
  });

  it('reads its options and refuses what it does not know', () => {
    expect(parseOptions(['--shapes', '8x2x3x4', '--only', 'ours,tfjs', '--rounds', '3'])).to.deep.include({
      shapes: [[8, 2, 3, 4]],
      only: ['ours', 'tfjs'],
      rounds: 3,
      threads: 2,
    });
    expect(() => parseOptions(['--only', 'nobody'])).to.throw(
      'Expected ours, floor, arithmetic, native, handed, kernels, onnxruntime, tfjs, pytorch for --only but received nobody',
    );
    expect(() => parseOptions(['--shapes', '8x2'])).to.throw(UsageError, '--shapes');
    expect(() => parseOptions(['--rounds', '0'])).to.throw('--rounds');
    expect(() => parseOptions(['--launches', '0'])).to.throw('--launches');
    expect(() => parseOptions(['--faster'])).to.throw(UsageError, '--faster');
  });

  it('ends in words where nothing is left to measure, and writes no report', () => {
    const args = ['--import=tsx', join(ROOT, 'bench/cpu/main.ts'), '--only', 'pytorch', '--out', join(ROOT, 'reports/nothing.json')];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, BENCH_PYTHON: '' } });
    expect(status).to.equal(1);
    expect(stderr).to.match(/PyTorch is left out: .*\nNothing is left to measure/);
    expect(existsSync(args.at(-1)!)).to.equal(false);
  });

  it('times a copy in a process of its own', async () => {
    const copy = await startCopy(2);
    try {
      for (const problem of SMALL) expect(await copy.burst(problem, 3)).to.be.greaterThan(0);
    } finally {
      copy.close();
    }
  });

  for (const problem of SMALL) {
    describe(`computes batch normalization, ${problem.layout}, with`, () => {
      it('cuda-batchnorm', async () => {
        const { call, output, release } = openLayer(problem);
        call.inference();
        expectClose(await output.read(), expected(problem, 'inference'));
        call.trainingForward();
        expectClose(await output.read(), expected(problem, 'trainingForward'));
        release();
      });

      it('onnxruntime-node', async () => {
        const { run, output, release } = await openSession(problem, 2);
        await run();
        expectClose(output, expected(problem, 'inference'));
        await release();
      });

      it('TensorFlow.js', async () => {
        await startTensorFlow();
        const tensors = makeTensors(problem);
        for (const operation of ['inference', 'trainingForward'] as const) {
          const output = tensors[operation]();
          expectClose((await output.data()) as Float32Array, expected(problem, operation));
          output.dispose();
        }
        tensors.release();
      });
    });
  }
});
