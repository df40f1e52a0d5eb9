/** The GPU benchmark as a whole, on an emulated GPU, with a stand-in for cuDNN and PyTorch on the CPU. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { Budget } from '../../bench/gpu/budget';
import { CompileBudget } from '../../bench/gpu/compile_budget';
import { collectIn, type Failure } from '../../bench/gpu/failures';
import type { Timer } from '../../bench/gpu/measure';
import { TINY_NETWORK } from '../../bench/gpu/networks';
import { parseOptions } from '../../bench/gpu/options';
import { layersOf, planOf } from '../../bench/gpu/plan';
import { PyTorch } from '../../bench/gpu/pytorch';
import { newReport, type Report, toJson, writeJson, writePlots } from '../../bench/gpu/report';
import { run } from '../../bench/gpu/run';
import { measureStep } from '../../bench/gpu/step';
import { unwatched } from '../../bench/gpu/watchdog';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { skip } from '../helpers/shared';

const start = (args: string[], environment: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, ['--import=tsx', resolve(__dirname, '../../bench/gpu/main.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, BENCH_PYTHON: '/nowhere/python', ...environment },
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
    const gpu = { description: device.description, version: '', state: null, stateAfter: null };
    const report = newReport(options, { gpu, cudnn: null, pytorch: null, absent: [] });
    const session = {
      device,
      stream: device.createStream(),
      timer,
      pytorch,
      budget,
      compileBudget: new CompileBudget(0, options),
      options,
    };
    const save = () => writeJson(report, join(folder, 'x.json'));
    await run(planOf(options), { ...session, onFailure: collectIn(report.failures), watch: unwatched }, report, { save, say: () => {} });
    return report;
  }

  function ticking(): Timer {
    const take = async (call: () => void) => {
      call();
      return 1e-6;
    };
    return { wake: async () => {}, cold: take, warm: take };
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
      wake: async () => {},
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
    const written = JSON.parse(readFileSync(join(folder, 'x.json'), 'utf8')) as Report;
    expect(written.problems).to.have.length(1);
    expect(written.leftOut).to.deep.equal(report.leftOut);
  });

  it('reports a problem that fails for everybody, and goes on', async () => {
    const timer: Timer = {
      wake: async () => {},
      cold: async () => Promise.reject(new Error('the clock stands still')),
      warm: async () => 1,
    };
    const report = await runAll(['--layouts', 'first'], new Budget(1e6), null, timer);
    expect(report.problems).to.deep.equal([]);
    expect(report.timePerCall).to.not.equal(null);
    expect(report.failures.find(({ contender }) => contender === 'all')).to.include({
      reason: 'the clock stands still',
      first: 'tiny [2,4,6,6] channels first float16, none and relu and add+relu',
    });
  });

  it('goes on with a step whose one contender fails in a round', async () => {
    const error = new Error('the first step fails');
    const layers = layersOf(TINY_NETWORK, 2, 'plain');
    const step = { network: 'tiny', batch: 2, layout: 'channels first', dtype: 'float16', fusion: 'plain' } as const;
    const failures: Failure[] = [];
    let calls = 0;
    const take = async (call: () => void) => {
      call();
      if (++calls === 2) throw error;
      return 1e-6;
    };
    const timer: Timer = { wake: async () => {}, cold: take, warm: take };
    const options = { rounds: 2, seconds: 1, onFailure: collectIn(failures), watch: unwatched };
    const { times } = await measureStep(step, layers, device.createStream(), timer, null, options);
    expect(times[0]!.contender).to.equal('ours, CUDA graph');
    expect(times[0]!.seconds.samples).to.equal(2);
    expect(failures.map(({ contender, reason }) => [contender, reason])).to.deep.include(['ours', error.message]);
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
      expect(ofPyTorch.map(({ reason }) => reason)).to.deep.equal(['switched off by --compile 0']);
    } finally {
      pytorch.close();
    }
  });

  it('is rehearsed: everything runs, and no time is shown', () => {
    const { status, stderr, stdout } = start(
      ['--rehearse', '--dtypes', 'bfloat16', '--layouts', 'last', '--compile', '0'],
      python ? { BENCH_PYTHON: python } : {},
    );
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).to.match(/^Rehearsed on Emulated .*: 4 problems, 2 steps; no times are shown and nothing is kept$/);
    const ofPyTorch = lines.filter((line) => line.startsWith('PyTorch'));
    expect(ofPyTorch).to.have.length(1);
    expect(ofPyTorch[0]).to.match(python ? /^PyTorch compile: switched off by --compile 0/ : /^PyTorch is left out: .*ENOENT/);
    expect(lines.some((line) => /^all: /.test(line))).to.equal(false);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
  });
});
