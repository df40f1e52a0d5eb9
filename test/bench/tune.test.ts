import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import type { GpuProblem } from '../../bench/gpu/problem';
import { machine } from '../../bench/cpu/machine';
import { choicesFor, explain, TUNED_OPERATIONS, tinyProblems } from '../../bench/gpu/tune/candidates';
import { asChoice, CONSTANTS, type Constants, constantsIn, withRow } from '../../bench/gpu/tune/constants';
import { checkGain, decisionsOf, meanRegret } from '../../bench/gpu/tune/decisions';
import { type Direct, directConstants, measureDirect, peakOf } from '../../bench/gpu/tune/direct';
import { errorOf, fitConstants, type Model } from '../../bench/gpu/tune/fit';
import { type Measured, type Measuring, measurePoints, type Point } from '../../bench/gpu/tune/measure';
import { parseOptions } from '../../bench/gpu/tune/options';
import { record } from '../../bench/gpu/tune/record';
import { capabilityOf, checkSameGpu, gpuOf, type Recording, readRecording } from '../../bench/gpu/tune/recording';
import { describe as inWords, shortfalls } from '../../bench/gpu/tune/report';
import { modelOf, tune } from '../../bench/gpu/tune/tune';
import { ACTIVATION_CODES, DTYPE_CODES } from '../../lib/addon';
import { UsageError } from '../../lib/cli/usage';
import { nativeDevice } from '../../lib/device';
import { Device } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { normal } from '../helpers/random';
import { skip } from '../helpers/shared';

const TABLE_FILE = resolve(__dirname, '../../native/cuda/tuning.h');
const TABLE = readFileSync(TABLE_FILE, 'utf8');
const rowsIn = (table: string): string[] => table.split('\n').filter((line) => /^ {4}\{\d/.test(line));

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['--import=tsx', resolve(__dirname, '../../bench/gpu/tune/main.ts'), ...args], { encoding: 'utf8' });

/** Runs `use` with the path of a file of this text. */
function withFile<T>(text: string, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'tune-'));
  try {
    const file = join(folder, 'points.json');
    writeFileSync(file, text);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [PROBLEM] = tinyProblems();
const timed = (seconds: readonly number[]): Point[] =>
  seconds.map((one, i) => ({ problem: PROBLEM!, operation: 'backward', choice: `way ${i}`, seconds: one }));

const DIRECT: Direct = { peakBytesPerSecond: 4e12, copyBytesPerSecond: 3.5e12, launchSeconds: 2.5e-6 };

const RECORDING: Recording = {
  date: '2026-01-02T03:04Z',
  commit: 'abc',
  machine: machine(),
  state: { description: 'A GPU', version: 'CUDA 13.0', state: null, stateAfter: null },
  rounds: 5,
  budgetSeconds: 420,
  gpu: 'A GPU',
  capability: [9, 0],
  direct: DIRECT,
  points: [],
  failures: [],
  leftOut: [],
};

const START = constantsIn(TABLE, 9, 0);

describe('tuning of the plan', () => {
  it('finds the constants that made the times', () => {
    const work = Array.from({ length: 40 }, (_, i) => ({ launches: 1 + (i % 3), meetings: i % 5, bytes: (i + 1) * 1e6 }));
    const model: Model = ({ launch, gridMeeting, bandwidth }) =>
      work.map(({ launches, meetings, bytes }) => launches * launch + meetings * gridMeeting + bytes / (bandwidth * 1e12));
    const truth: Constants = { ...START, launch: 3.7e-6, gridMeeting: 9e-7, bandwidth: 0.81 };
    const measured = model(truth);
    expect(errorOf(model(START), measured)).to.be.greaterThan(0.1);
    const found = fitConstants(model, measured, START, CONSTANTS);
    expect(errorOf(model(found), measured)).to.be.lessThan(0.01);
    for (const name of ['launch', 'gridMeeting', 'bandwidth'] as const) expect(found[name] / truth[name]).to.be.within(0.95, 1.05);
    expect(found.step, 'what plays no part').to.equal(START.step);
  });

  it('trades constants that are added up, which alone would be stuck', () => {
    const model: Model = ({ piece, clusterMeeting, gridMeeting }) => [piece, piece + clusterMeeting, piece + gridMeeting];
    const truth: Constants = { ...START, piece: 3e-6, clusterMeeting: 2e-6, gridMeeting: 4e-6 };
    const found = fitConstants(model, model(truth), { ...truth, piece: 4e-6, clusterMeeting: 1e-6, gridMeeting: 3e-6 }, CONSTANTS);
    for (const name of ['piece', 'clusterMeeting', 'gridMeeting'] as const)
      expect(found[name] / truth[name], name).to.be.within(0.95, 1.05);
  });

  it('leaves at 0 what a GPU does not have', () => {
    const model: Model = ({ piece, clusterMeeting }) => [piece + clusterMeeting];
    const found = fitConstants(model, [9e-6], { ...START, clusterMeeting: 0 }, CONSTANTS);
    expect(found.clusterMeeting).to.equal(0);
    expect(found.piece).to.be.within(8.8e-6, 9.2e-6);
  });

  it('is off by a factor, whichever is greater', () => {
    expect(errorOf([2, 0.5], [1, 1])).to.be.closeTo(1, 1e-12);
    expect(errorOf([3], [3])).to.equal(0);
  });

  it('takes from a copy and from tiny kernels what they tell, and keeps it', () => {
    expect(directConstants(DIRECT)).to.deep.equal({ bandwidth: 0.875, launch: 2.5e-6 });
    const points = timed([1e-5, 2e-5]);
    const model: Model = ({ launch, piece }) => [launch + piece, launch + 2 * piece];
    const { constants } = tune(model, { ...RECORDING, points }, START);
    expect(constants.before).to.equal(START);
    expect(constants.after).to.include({ bandwidth: 0.875, launch: 2.5e-6 });
    expect(constants.after.piece).to.be.within(7.5e-6, 8.75e-6);
  });

  it('leaves to the fit what was measured and cannot be', () => {
    expect(directConstants({ ...DIRECT, peakBytesPerSecond: 5e11 })).to.deep.equal({ launch: 2.5e-6 });
    expect(directConstants({ ...DIRECT, launchSeconds: 0 })).to.deep.equal({ bandwidth: 0.875 });
  });

  it('regrets the choices that were not best, problem by problem', () => {
    const points: Point[] = [...timed([1e-5, 1.5e-5]), { ...timed([3e-5])[0]!, operation: 'trainingForward' }];
    expect(meanRegret(decisionsOf(points, [1, 2, 1]))).to.equal(0);
    const [backward, forward] = decisionsOf(points, [2, 1, 1]);
    expect(backward).to.deep.include({ best: { choice: 'way 0', seconds: 1e-5 }, chosen: { choice: 'way 1', seconds: 1.5e-5 } });
    expect(backward!.regret).to.be.closeTo(0.5, 1e-12);
    expect(forward!.regret).to.equal(0);
    expect(meanRegret([backward!, forward!])).to.be.closeTo(0.25, 1e-12);
  });

  it('refuses constants that lead to worse plans, whatever they explain', () => {
    const points = timed([1e-5, 1.5e-5]);
    const [good, bad] = [decisionsOf(points, [1, 2]), decisionsOf(points, [2, 1])];
    checkGain({ decisions: { before: bad, after: good } });
    checkGain({ decisions: { before: bad, after: bad } });
    expect(() => checkGain({ decisions: { before: good, after: bad } })).to.throw('50.00 % longer than the best, instead of 0.00 %');
  });

  it('tells the day and the GPU of the measurement, the constants, and each problem', () => {
    const text = inWords(tune(({ step }) => [step * 2, step], { ...RECORDING, points: timed([1e-5, 1.5e-5]) }, START));
    expect(text)
      .to.match(/tiny \[4,8,6,6\] channels first float32, backward +way 0 +way 1 +10\.0 +50\.0 % +50\.0 %\n/)
      .and.match(/\nbandwidth +measured +0\.9 +0\.875\n/)
      .and.match(/\nstep +fitted /)
      .and.match(/\n {4}\{9, 0, 0\.875, .*\}, {2}\/\/ A GPU, measured 2026-01-02$/);
  });

  it('tells what could not be measured, and what there was no time for', () => {
    expect(shortfalls(RECORDING)).to.deep.equal([]);
    const failures = ['way 1', 'way 2'].map((choice) => ({ problem: PROBLEM!, choice, reason: 'backward: no such launch' }));
    expect(shortfalls({ ...RECORDING, failures, leftOut: ['one', 'another'] })).to.deep.equal([
      'Not measured, because it failed: 2, first tiny [4,8,6,6] channels first float32, way 1: backward: no such launch',
      'Not measured, because there was no time left: one; another',
    ]);
  });

  it('reads the row of a compute capability, or the one before it', () => {
    expect(constantsIn(TABLE, 9, 0).clusterMeeting).to.be.greaterThan(0);
    expect(constantsIn(TABLE, 8, 9)).to.deep.equal(constantsIn(TABLE, 8, 6));
    expect(constantsIn(TABLE, 7, 0)).to.deep.equal(constantsIn(TABLE, 7, 5));
    expect(() => constantsIn('', 9, 0)).to.throw('found none');
  });

  it('names the constants in the order of the table', () => {
    const named = [...TABLE.matchAll(/\{"(\w+)", &Tuning::(\w+)\}/g)].map(([, name, place]) => [name, place]);
    expect(named).to.deep.equal(CONSTANTS.map((name) => [name, name]));
    const members = [...TABLE.matchAll(/^ {2}double (\w+);/gm)].map(([, name]) => name);
    expect(members).to.deep.equal(CONSTANTS);
  });

  it('writes a row in place of the one there was, and a new one in its order', () => {
    const changed = withRow(TABLE, 9, 0, { ...START, piece: 4.25e-6 }, 'NVIDIA H200, measured 2026-11-23');
    expect(constantsIn(changed, 9, 0)).to.deep.equal({ ...START, piece: 4.25e-6 });
    expect(rowsIn(changed)).to.have.length(rowsIn(TABLE).length);
    expect(rowsIn(changed).filter((row) => !rowsIn(TABLE).includes(row))).to.have.length(1);
    const longer = withRow(TABLE, 8, 9, START, 'another');
    const at = rowsIn(longer).findIndex((row) => row.endsWith('// another'));
    expect(rowsIn(longer)[at - 1]).to.match(/\{8, 6,/);
    expect(rowsIn(longer)[at + 1]).to.match(/\{9, 0,/);
    expect(longer.replace(`${rowsIn(longer)[at]}\n`, '')).to.equal(TABLE);
  });

  it('reads its options and refuses what it does not know', () => {
    expect(parseOptions([])).to.deep.include({ batches: [32, 256], rounds: 5, budget: 420, write: false });
    expect(parseOptions(['--batches', '8', '--rounds', '2', '--write', '--out', 'x.json'])).to.deep.include({
      batches: [8],
      rounds: 2,
      write: true,
      out: 'x.json',
    });
    for (const wrong of [
      ['--batches', '0'],
      ['--fast'],
      ['--rehearse', '--write'],
      ['--rehearse', '--from', 'x.json'],
      ['--measure-only', '--write'],
      ['--measure-only', '--from', 'x.json'],
      ['--force'],
    ]) {
      expect(() => parseOptions(wrong), wrong.join(' ')).to.throw(UsageError);
    }
    const { status, stderr } = run('--fast');
    expect(status).to.equal(2);
    expect(stderr).to.include('npm run tune:gpu -- --help');
  });

  it('refuses files that are no recording', () => {
    expect(() => readRecording('/nowhere/points.json')).to.throw(UsageError, '/nowhere/points.json cannot be read: ENOENT');
    for (const text of ['', 'null', '[]', '{"points":[]}']) {
      withFile(text, (file) => expect(() => readRecording(file), text).to.throw(UsageError, 'is none'));
    }
    const empty = JSON.stringify({ points: [], direct: DIRECT, capability: [9, 0] });
    withFile(empty, (file) => expect(() => readRecording(file)).to.throw(UsageError, 'has no points'));
  });

  it('ends with the reason where there is no GPU', function () {
    if (Device.list().some(({ type }) => type === 'cuda')) skip(this, 'CUDA works here');
    const { status, stderr, stdout } = run();
    expect(status).to.equal(1);
    expect(stderr).to.include('cuda:0 is not available');
    expect(stdout).to.equal('');
  });
});

describeEmulated('tuning on an emulated GPU', function () {
  this.timeout(120_000);
  const native = () => nativeDevice(device).native;
  after(() => native().force(''));

  const shapes = [
    [32, 64, 56, 56],
    [32, 512, 7, 7],
    [256, 256, 14, 14],
  ];
  const problems = shapes.flatMap((shape) => tinyProblems().map((problem) => ({ ...problem, shape })));
  const unmeasured = (): Point[] =>
    problems.flatMap((problem) =>
      TUNED_OPERATIONS.flatMap((operation) =>
        choicesFor(native(), problem, operation).map((choice) => ({ problem, operation, choice, seconds: 0 })),
      ),
    );

  /** As if measured where these constants are true, with an error of so many parts. */
  function recordingOf(truth: Constants, deviation: number): Recording {
    const points = unmeasured();
    const seconds = modelOf(device, points)(truth);
    const error = normal(1);
    const peak = peakOf(native());
    return {
      ...RECORDING,
      date: '2026-01-02T03:04:05Z',
      gpu: gpuOf(device).replace('Emulated ', ''),
      capability: capabilityOf(device),
      direct: { peakBytesPerSecond: peak, copyBytesPerSecond: peak * truth.bandwidth, launchSeconds: truth.launch },
      points: points.map((point, i) => ({ ...point, seconds: seconds[i]! * Math.exp(error(0, deviation)) })),
    };
  }

  it("forces launches that differ, of all kinds of teams, the plan's own first", () => {
    const problem = problems[0]!;
    const choices = choicesFor(native(), problem, 'backward');
    const own = explain(native(), problem, 'backward', '');
    expect(choices[0]).to.equal(`team=${own.team},blocks=${own.teamBlocks},threads=${own.block},shared=${own.sharedBytes}`);
    expect(new Set(choices).size).to.equal(choices.length).and.be.greaterThan(8);
    for (const team of ['block', 'cluster', 'grid']) expect(choices.join(), team).to.include(`team=${team},`);
  });

  it('predicts for the launch that was measured, whatever the constants', () => {
    const others: Constants[] = [
      { ...START, piece: START.piece * 8, gridMeeting: START.gridMeeting / 4 },
      { ...START, step: START.step * 10, latency: START.latency / 3 },
      { ...START, stepLatency: START.stepLatency * 10, processorBandwidth: 1 },
    ];
    const launch = ({ seconds: _, ...rest }: ReturnType<typeof explain>) => rest;
    for (const { problem, operation, choice } of unmeasured()) {
      const meant = launch(explain(native(), problem, operation, choice));
      for (const other of others) {
        expect(launch(explain(native(), problem, operation, `${choice},${asChoice(other)}`)), choice).to.deep.equal(meant);
      }
    }
  });

  it('finds constants for noisy times that the plan itself predicted under others', () => {
    const truth: Constants = { ...START, bandwidth: 0.8, launch: 3e-6, piece: 4e-6, clusterMeeting: 2e-6, gridMeeting: 5e-6 };
    const recording = recordingOf(truth, 0.03);
    const tuned = tune(modelOf(device, recording.points), recording, START);
    expect(tuned.error.before).to.be.greaterThan(0.2);
    expect(tuned.error.after).to.be.lessThan(0.03);
    expect(meanRegret(tuned.decisions.after)).to.be.lessThan(0.03);
    const { after } = tuned.constants;
    for (const name of ['bandwidth', 'launch'] as const) expect(after[name] / truth[name], name).to.be.closeTo(1, 1e-9);
    for (const name of ['piece', 'clusterMeeting', 'gridMeeting'] as const) {
      expect(after[name] / truth[name], name).to.be.within(0.85, 1.15);
    }
  });

  it('knows the peak of the memory', () => {
    expect(gpuOf(device)).to.equal('Emulated NVIDIA H200');
    expect(peakOf(native()) / ((2 * 3201e6 * 6144) / 8)).to.be.closeTo(1, 1e-3);
  });

  const measured = async (problems: readonly GpuProblem[], measuring: Omit<Measuring, 'onProblem' | 'onMeasured'>): Promise<Measured> => {
    const into: Measured = { points: [], failures: [], leftOut: [] };
    await measurePoints(problems, { ...measuring, onProblem: () => {}, onMeasured: () => {} }, into);
    return into;
  };

  it('goes on where a way, or a whole problem, cannot be measured, and says which and why', async () => {
    const [problem] = tinyProblems();
    const choices = choicesFor(native(), problem!, 'backward');
    let turns = 0;
    const cold = async () => {
      if (++turns % choices.length === 2) throw new Error('a launch failed');
      return 1e-5;
    };
    const impossible: GpuProblem = { ...problem!, shape: [4, 0, 6, 6] };
    const budget = { left: () => 1 } as never;
    const measuring = { device, stream: device.createStream(), clock: { cold }, rounds: 1, budget };
    const { points, failures, leftOut } = await measured([impossible, problem!], measuring);
    expect(failures[0]).to.deep.include({ problem: impossible, choice: null });
    expect(failures[0]!.reason).to.not.equal('');
    const reasons = TUNED_OPERATIONS.map((operation) => `${operation}: a launch failed`);
    expect(failures.slice(1).map(({ reason }) => reason)).to.deep.equal(reasons);
    expect(failures.at(-1)!.choice).to.equal(choices[1]);
    const backward = points.filter(({ operation }) => operation === 'backward').map(({ choice }) => choice);
    expect(backward).to.deep.equal(choices.toSpliced(1, 1));
    expect(leftOut).to.deep.equal([]);
  });

  it('keeps the recording problem by problem, and names what the budget left out', async () => {
    const kept: string[] = [];
    const options = parseOptions(['--rehearse']);
    const recording = await record(options, device, (part) => kept.push(JSON.stringify(part)));
    const parts = kept.map((text) => JSON.parse(text) as Recording);
    const counts = tinyProblems().map((one) => parts.map(({ points }) => points.some(({ problem }) => problem.layout === one.layout)));
    expect(counts).to.deep.equal([
      [false, true, true],
      [false, false, true],
    ]);
    expect(parts.at(-1)).to.deep.equal(JSON.parse(JSON.stringify(recording)));

    expect(recording).to.deep.include({ machine: machine(), rounds: 1, budgetSeconds: 420 });
    expect(recording.state).to.include({ description: device.description }).and.to.have.property('version').that.includes('emulated');
    expect(recording).to.include.keys('date', 'commit', 'gpu', 'capability', 'direct');
    const names = ['tiny [4,8,6,6] channels first float32', 'tiny [4,8,6,6] channels last float32'];
    expect((await record({ ...options, budget: 0 }, device, () => {})).leftOut).to.deep.equal(names);
  });

  it('takes turns with the ways, and times each under its own choice', async () => {
    const stream = device.createStream();
    const problem = tinyProblems()[0]!;
    expect(problem).to.deep.include({ shape: [4, 8, 6, 6], layout: 'channels first', dtype: 'float32' });
    const forced: string[] = [];
    let calls = 0;
    const clock = {
      cold: async (call: () => void) => {
        const { float32 } = DTYPE_CODES;
        const given = { gradWeight: true, gradBias: true };
        const [launch] = native().explain('backward', 4, 8, 36, float32, float32, ACTIVATION_CODES.identity, given);
        forced.push(`team=${launch!.team},blocks=${launch!.teamBlocks},threads=${launch!.block},shared=${launch!.sharedBytes}`);
        call();
        return ++calls;
      },
      warm: async () => 2e-6,
    };
    const budget = { left: () => 1 } as never;
    const { points } = await measured([problem], { device, stream, clock, rounds: 3, budget });
    const backward = points.filter(({ operation }) => operation === 'backward');
    const first = Math.min(...backward.map(({ seconds }) => seconds));
    expect(
      backward.map(({ seconds }) => seconds - first),
      'medians of turns',
    ).to.deep.equal(backward.map((_, i) => i));
    const choices = choicesFor(native(), problem, 'backward');
    expect(backward.map(({ choice }) => choice)).to.deep.equal(choices);
    expect(forced.slice(-3 * choices.length), 'as forced').to.deep.equal([...choices, ...choices, ...choices]);

    calls = 0;
    const direct = await measureDirect(device, stream, clock, { rounds: 3, copyBytes: 2 ** 16, tinyCalls: 2 });
    expect(direct).to.deep.equal({ peakBytesPerSecond: peakOf(native()), copyBytesPerSecond: 2 ** 15, launchSeconds: 2e-6 });
  });

  it('is not fitted to times of another GPU', () => {
    const recording = recordingOf(START, 0);
    checkSameGpu(recording, device);
    const { direct } = recording;
    for (const other of [
      { ...recording, gpu: 'NVIDIA H100 80GB HBM3' },
      { ...recording, direct: { ...direct, peakBytesPerSecond: direct.peakBytesPerSecond / 2 } },
      { ...recording, capability: [8, 0] as const },
    ]) {
      expect(() => checkSameGpu(other, device)).to.throw(UsageError, 'CUDA_BATCHNORM_EMULATED_GPU');
    }
  });

  it('fits again to recorded points', () => {
    const truth = { ...START, bandwidth: 0.8, gridMeeting: START.gridMeeting * 3 };
    withFile(JSON.stringify(recordingOf(truth, 0)), (file) => {
      const out = `${file}.again`;
      const { status, stdout, stderr } = run('--from', file, '--out', out, '--json');
      expect(status, stderr).to.equal(0);
      expect(stdout).to.equal(readFileSync(out, 'utf8'));
      const { date, gpu, constants } = JSON.parse(stdout);
      expect({ date, gpu }).to.deep.equal({ date: '2026-01-02T03:04:05Z', gpu: 'NVIDIA H200' });
      expect(constants.after.gridMeeting / truth.gridMeeting).to.be.within(0.9, 1.1);
      expect(readFileSync(TABLE_FILE, 'utf8')).to.equal(TABLE);
    });
    withFile('{}', (file) => {
      const { status, stdout, stderr } = run('--from', file);
      expect({ status, stdout }).to.deep.equal({ status: 2, stdout: '' });
      expect(stderr).to.include('is none');
    });
  });

  it('is refused, and rehearsed: everything runs, and no time is shown', () => {
    const refused = run();
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.include('no benchmark takes its times');
    const { status, stdout } = run('--rehearse');
    expect(stdout).to.match(/^Rehearsed on Emulated .*: \d+ points; no times are shown and nothing is written\n$/);
    expect(status).to.equal(0);
  });

  it('measures without a fit, which is for later', () => {
    const { status, stdout, stderr } = run('--rehearse', '--measure-only');
    expect(status, stderr).to.equal(0);
    expect(stdout).to.match(/^Rehearsed on Emulated .*: \d+ points;/);
  });
});
