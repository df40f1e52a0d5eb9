/** How the GPU benchmark measures: by scripted clocks, and rehearsed on an emulated GPU. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Budget } from '../../bench/gpu/budget';
import type { Contender } from '../../bench/gpu/contenders';
import { collectIn, type Failure } from '../../bench/gpu/failures';
import { measure, type Timer, warmCalls } from '../../bench/gpu/measure';
import { parseOptions } from '../../bench/gpu/options';
import { planOf } from '../../bench/gpu/plan';
import { fewestBytes, type GpuProblem } from '../../bench/gpu/problem';
import { PyTorch } from '../../bench/gpu/pytorch';
import { newReport, type Report, toJson, writeJson, writePlots } from '../../bench/gpu/report';
import { run } from '../../bench/gpu/run';
import { UsageError } from '../../lib/cli/usage';
import { Device } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { skip } from '../helpers/shared';

const PROBLEM: GpuProblem = { network: 'resnet50', shape: [32, 64, 56, 56], layout: 'channels first', dtype: 'float16' };

/** Names instead of work; the timer looks the name up, and throws what is no number. */
function scripted(times: Record<string, (number | Error)[]>) {
  const log: string[] = [];
  const named = (work: string) => Object.assign(() => {}, { work });
  const contender = (name: string): Contender => ({
    name,
    calls: new Map([
      ['inference', named(`${name} inference`)],
      ['backward', named(`${name} backward`)],
    ]),
    release: () => {},
  });
  const take = (cache: string, call: () => void): number => {
    const { work } = call as unknown as { work: string };
    log.push(`${cache} ${work}`);
    const time = times[`${cache} ${work}`]?.shift() ?? 1;
    if (time instanceof Error) throw time;
    return time;
  };
  const timer: Timer = { cold: async (call) => take('cold', call), warm: async (call, calls) => take(`warm ×${calls}`, call) };
  return { contender, timer, log, copy: (bytes: number) => named(`copy of ${bytes}`) };
}

const start = (args: string[], environment: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, ['--import=tsx', resolve(__dirname, '../../bench/gpu/main.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, BENCH_PYTHON: '/nowhere/python', ...environment },
  });

describe('GPU benchmark', () => {
  it('takes turns: in every round a copy of the same bytes, ours and the others', async () => {
    const bytes = fewestBytes(PROBLEM, 'inference', 'none');
    const { contender, timer, log, copy } = scripted({
      [`cold copy of ${bytes}`]: [1, 1, 4],
      'cold ours inference': [2, 4, 12],
      'cold cuDNN spatial inference': [3, 3, 3],
    });
    const options = { operations: ['inference', 'backward'] as const, rounds: 3, calls: 5, onFailure: expect.fail };
    const cells = await measure(PROBLEM, 'none', [contender('ours'), contender('cuDNN spatial')], copy, timer, options);
    expect(log.slice(0, 6)).to.deep.equal([
      `cold copy of ${bytes}`,
      'cold ours inference',
      'cold cuDNN spatial inference',
      `warm ×5 copy of ${bytes}`,
      'warm ×2 ours inference',
      'warm ×2 cuDNN spatial inference',
    ]);
    expect(log).to.have.length(3 * 12);
    expect(log.slice(12, 24)).to.deep.equal(log.slice(24));
    const [cell] = cells;
    expect(cell).to.deep.include({ operation: 'inference', fused: 'none', cache: 'cold', bytes });
    expect(cell!.copySeconds.median).to.equal(1);
    expect(cell!.times.map((time) => [time.contender, time.seconds.median, time.seconds.samples])).to.deep.equal([
      ['ours', 4, 3],
      ['cuDNN spatial', 3, 3],
    ]);
  });

  it('goes on without a contender that fails, and says why', async () => {
    const { contender, timer, log, copy } = scripted({ 'cold cuDNN spatial inference': [1, new Error('too hot')] });
    const failures: Failure[] = [];
    const options = { operations: ['inference'] as const, rounds: 4, calls: 5, onFailure: collectIn(failures) };
    const [cold, warm] = await measure(PROBLEM, 'relu', [contender('ours'), contender('cuDNN spatial')], copy, timer, options);
    expect(log.filter((one) => one === 'cold cuDNN spatial inference')).to.have.length(2);
    expect(cold!.times.map((time) => [time.contender, time.seconds.samples])).to.deep.equal([['ours', 4]]);
    expect(warm!.times).to.have.length(2);
    const first = 'resnet50 [32,64,56,56] channels first float16, inference with relu';
    expect(failures).to.deep.equal([{ contender: 'cuDNN spatial', reason: 'too hot', count: 1, first }]);
  });

  it('calls small problems more often back to back', () => {
    expect(warmCalls(1e-5, 10)).to.equal(10);
    expect(warmCalls(1e-4, 10)).to.equal(3);
    expect(warmCalls(1e-2, 10)).to.equal(2);
  });

  it('counts the same reason once', () => {
    const failures: Failure[] = [];
    const fail = collectIn(failures);
    fail('cuDNN spatial', new Error('no'), 'here');
    fail('cuDNN spatial', 'no', 'there');
    fail('PyTorch eager', 'no', 'there');
    expect(failures.map(({ contender, count, first }) => [contender, count, first])).to.deep.equal([
      ['cuDNN spatial', 2, 'here'],
      ['PyTorch eager', 1, 'there'],
    ]);
  });

  it('reads its options and refuses what it does not know', () => {
    const args = ['--dtypes', 'float16,bfloat16', '--operations', 'forward', '--rounds', '3', '--budget', '100', '--out', 'x.json'];
    expect(parseOptions(args)).to.deep.include({
      batches: [256, 32],
      dtypes: ['float16', 'bfloat16'],
      operations: ['trainingForward'],
      rounds: 3,
      budget: 100,
      compileSeconds: 25,
      out: 'x.json',
      rehearse: false,
    });
    expect(parseOptions([]).operations).to.deep.equal(['inference', 'trainingForward', 'backward']);
    expect(parseOptions(['--quick']).rounds).to.equal(3);
    expect(parseOptions(['--rehearse']).networks.map(({ name }) => name)).to.deep.equal(['tiny', 'tiny list']);
    const refusals: [string[], string][] = [
      [['--dtypes', 'float64'], "Expected float32, float16, bfloat16 for --dtypes but received 'float64'"],
      [['--networks', 'vgg'], 'Expected resnet50, mobilenetv2, 1d, 3d, densenet121 for --networks'],
      [['--fused', 'toString'], 'Expected none, relu, add+relu for --fused'],
      [['--rounds', '0'], '--rounds'],
      [['--batches', '32,x'], '--batches'],
      [['--faster'], '--faster'],
    ];
    for (const [line, message] of refusals) expect(() => parseOptions(line)).to.throw(UsageError, message);
  });

  it('ends with status 2 and a hint where it is called wrongly', () => {
    const { status, stderr, stdout } = start(['--layouts', 'middle']);
    expect(stderr).to.equal("Expected first, last for --layouts but received 'middle'\n'npm run bench:gpu -- --help' lists the options\n");
    expect([status, stdout]).to.deep.equal([2, '']);
  });

  it('ends with the reason where there is no GPU', function () {
    if (Device.list().some(({ type }) => type === 'cuda')) skip(this, 'CUDA works here');
    const { status, stderr, stdout } = start([]);
    expect(status).to.equal(1);
    expect(stderr).to.include('cuda:0 is not available');
    expect(stdout).to.equal('');
  });
});

describeEmulated('GPU benchmark on an emulated GPU', function () {
  this.timeout(300_000);

  const python = process.env.BENCH_PYTHON;
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-gpu-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** All of a small run, timed by a clock whose every tick is a microsecond. */
  async function runAll(args: string[], budget: Budget, pytorch: PyTorch | null, timer = ticking()): Promise<Report> {
    const options = parseOptions(['--rehearse', '--dtypes', 'float16', ...args]);
    const gpu = { description: device.description, version: '', state: null };
    const report = newReport({ ...options, compileSeconds: 0 }, { gpu, cudnn: null, pytorch: null, absent: [] });
    const session = { device, stream: device.createStream(), timer, pytorch, budget, options: { ...options, compileSeconds: 0 } };
    await run(planOf(options), { ...session, onFailure: collectIn(report.failures) }, report, () =>
      writeJson(report, join(folder, 'x.json')),
    );
    return report;
  }

  function ticking(): Timer {
    const take = async (call: () => void) => {
      call();
      return 1e-6;
    };
    return { cold: take, warm: take };
  }

  const contendersOf = (report: Report, layout: string, operation: string, fused: string): string[][] =>
    report.problems
      .filter((problem) => problem.layout === layout && problem.network === 'tiny')
      .flatMap(({ cells }) => cells.filter((cell) => cell.operation === operation && cell.fused === fused))
      .map(({ times }) => times.map(({ contender }) => contender));

  it('is refused', () => {
    const { status, stderr, stdout } = start([]);
    expect(status).to.equal(1);
    expect(stderr).to.include('no benchmark takes its times');
    expect(stdout).to.equal('');
  });

  it('asks cuDNN for all that it has, in each of its modes, and never for ours', async () => {
    const report = await runAll([], new Budget(1e6), null);
    const [ours, spatial, persistent, single] = ['ours', 'cuDNN spatial', 'cuDNN spatial-persistent', 'cuDNN per-activation'];
    const all = (found: string[][], expected: (string | undefined)[]) => {
      expect(found).to.have.length(4); // two shapes, cold and warm
      for (const one of found) expect(one).to.deep.equal(expected);
    };
    all(contendersOf(report, 'channels first', 'backward', 'none'), [ours, spatial, persistent]);
    all(contendersOf(report, 'channels last', 'trainingForward', 'none'), [ours, spatial, persistent, single]);
    all(contendersOf(report, 'channels first', 'trainingForward', 'relu'), [ours]);
    all(contendersOf(report, 'channels last', 'backward', 'relu'), [ours, persistent]);
    all(contendersOf(report, 'channels last', 'trainingForward', 'add+relu'), [ours, persistent]);
    all(contendersOf(report, 'channels last', 'inference', 'add+relu'), [ours]);
    const refused = report.failures.filter(({ reason }) => reason.includes('no residual in inference'));
    expect(refused.map(({ contender }) => contender)).to.deep.equal([spatial, persistent, single]);
  });

  it('reports whole steps, sums, the time per call, and plots', async () => {
    const report = await runAll([], new Budget(1e6), null);
    expect(report.steps.map(({ layout, fusion, layers }) => [layout, fusion, layers])).to.deep.equal([
      ['channels first', 'plain', 4],
      ['channels first', 'fused', 4],
      ['channels last', 'plain', 4],
      ['channels last', 'fused', 4],
    ]);
    for (const { times } of report.steps) {
      expect(times.map(({ contender }) => contender)).to.include.members(['ours', 'ours, CUDA graph']);
      for (const { seconds, pipelined } of times) {
        expect(seconds.median).to.equal(1e-6);
        expect(pipelined.median).to.be.greaterThan(0);
      }
    }
    // Every operation took a microsecond: four layers take eight, in both layouts, plain and fused, cold and warm.
    expect(report.headline).to.have.length(8);
    for (const { seconds, layers } of report.headline) {
      expect(layers).to.equal(4);
      expect(seconds.ours).to.be.closeTo(8e-6, 1e-12);
    }
    expect(report.timePerCall!.times.map(({ name }) => name)).to.include('layer: forward');
    expect(report.leftOut).to.deep.equal([]);
    const written = JSON.parse(readFileSync(join(folder, 'x.json'), 'utf8')) as Report;
    expect(written.problems).to.have.length(report.problems.length);
    expect(toJson(report)).to.not.include('null,null');
    for (const plot of writePlots(report, join(folder, 'x.json'))) {
      const svg = readFileSync(plot, 'utf8');
      expect(svg).to.match(/^<svg[\s\S]*<\/svg>\s*$/);
      expect(svg).to.not.match(/NaN|undefined|Infinity/);
    }
    expect(existsSync(join(folder, 'x-roofline.svg'))).to.equal(true);
  });

  it('ends when its time is over, and lists what it left out', async () => {
    let seconds = 0;
    const budget = new Budget(3, () => seconds);
    const timer: Timer = {
      cold: async (call) => {
        call();
        seconds = Math.min(3, seconds + 0.1);
        return 1e-6;
      },
      warm: async (call) => {
        call();
        return 1e-6;
      },
    };
    const report = await runAll(['--layouts', 'first'], budget, null, timer);
    const plan = planOf(parseOptions(['--rehearse', '--dtypes', 'float16', '--layouts', 'first']));
    expect(report.problems).to.have.length(1);
    expect(report.leftOut).to.have.length(plan.length - 2); // the time per call is not taken by this clock
    expect(report.leftOut.at(-1)).to.equal('tiny list [2,3,5] channels first float16, none and relu');
    expect(report.seconds).to.equal(3);
    expect(JSON.parse(readFileSync(join(folder, 'x.json'), 'utf8')))
      .to.have.property('problems')
      .of.length(1);
  });

  it('reports a problem that fails for everybody, and goes on', async () => {
    const timer: Timer = { cold: async () => Promise.reject(new Error('the clock stands still')), warm: async () => 1 };
    const report = await runAll(['--layouts', 'first'], new Budget(1e6), null, timer);
    expect(report.problems).to.deep.equal([]);
    expect(report.timePerCall).to.not.equal(null);
    expect(report.failures.find(({ contender }) => contender === 'all')).to.include({
      reason: 'the clock stands still',
      first: 'tiny [2,4,6,6] channels first float16, none and relu and add+relu',
    });
  });

  it('measures PyTorch beside, where BENCH_PYTHON names a Python with torch', async function () {
    if (!python) skip(this, 'BENCH_PYTHON is not set');
    const pytorch = await PyTorch.start(python, 'cpu', 2 ** 16);
    try {
      const report = await runAll([], new Budget(1e6), pytorch);
      for (const operation of ['inference', 'trainingForward', 'backward'])
        for (const fused of ['none', 'relu', 'add+relu'])
          for (const layout of ['channels first', 'channels last'])
            for (const contenders of contendersOf(report, layout, operation, fused)) expect(contenders.at(-1)).to.equal('PyTorch eager');
      for (const { times } of report.steps) expect(times.at(-1)!.contender).to.equal('PyTorch eager');
      expect(report.timePerCall!.times.at(-1)!.name).to.equal('PyTorch eager: backward');
      const ofPyTorch = report.failures.filter(({ contender }) => contender.startsWith('PyTorch'));
      expect(ofPyTorch.map(({ reason }) => reason)).to.deep.equal(['its 0 s for compiling are over']);
    } finally {
      pytorch.close();
    }
  });

  it('is rehearsed: everything runs, and no time is shown', () => {
    const { status, stderr, stdout } = start(
      ['--rehearse', '--dtypes', 'bfloat16', '--layouts', 'last'],
      python ? { BENCH_PYTHON: python } : {},
    );
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).to.match(/^Rehearsed on Emulated .*: 4 problems, 2 steps; no times are shown and nothing is kept$/);
    const ofPyTorch = lines.filter((line) => line.startsWith('PyTorch'));
    expect(ofPyTorch).to.have.length(1);
    expect(ofPyTorch[0]).to.match(python ? /^PyTorch compile: its 1 s for compiling are over/ : /^PyTorch is left out: .*ENOENT/);
    expect(lines.some((line) => /^all: /.test(line))).to.equal(false);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
  });
});
