/** How the GPU benchmark measures, by scripted clocks, and what it is told. */

import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { CompileBudget } from '../../bench/gpu/compile_budget';
import type { Contender } from '../../bench/gpu/contenders';
import { placesOf } from '../../bench/gpu/copies';
import { collectIn, type Failure, isOfOurs } from '../../bench/gpu/failures';
import { measure, type Timer, warmCalls } from '../../bench/gpu/measure';
import { parseOptions } from '../../bench/gpu/options';
import { fewestBytes, type GpuProblem } from '../../bench/gpu/problem';
import { unwatched, watched } from '../../bench/gpu/watchdog';
import { UsageError } from '../../lib/cli/usage';
import { Device } from '../../lib/index';
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
  const timer: Timer = {
    wake: async () => {},
    cold: async (call) => take('cold', call),
    warm: async (call, calls) => take(`warm ×${calls}`, call),
  };
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
    const options = { operations: ['inference', 'backward'] as const, rounds: 3, calls: 5, onFailure: expect.fail, watch: unwatched };
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
    const options = { operations: ['inference'] as const, rounds: 4, calls: 5, onFailure: collectIn(failures), watch: unwatched };
    const [cold, warm] = await measure(PROBLEM, 'relu', [contender('ours'), contender('cuDNN spatial')], copy, timer, options);
    expect(log.filter((one) => one === 'cold cuDNN spatial inference')).to.have.length(2);
    expect(cold!.times.map((time) => [time.contender, time.seconds.samples])).to.deep.equal([['ours', 4]]);
    expect(warm!.times).to.have.length(2);
    const first = 'resnet50 [32,64,56,56] channels first float16, inference with relu';
    expect(failures).to.deep.equal([{ contender: 'cuDNN spatial', reason: 'too hot', count: 1, first }]);
  });

  it('notices a GPU that does not come back, and nothing else', async () => {
    const hangs: string[][] = [];
    const watch = watched(0.02, (...hang) => hangs.push(hang));
    expect(await watch('copy', 'here', async () => 7)).to.equal(7);
    expect(await watch('ours', 'here', () => Promise.reject(new Error('too hot'))).catch(({ message }) => message)).to.equal('too hot');
    await watch('ours', 'there', () => setTimeout(60));
    expect(hangs).to.deep.equal([['ours', 'nothing came back within 0.02 s', 'there']]);
  });

  it('copies of a step go through a large buffer, and begin again at its end', () => {
    expect(placesOf([100, 256, 300, 200, 1], 1000)).to.deep.equal({ offsets: [0, 256, 512, 0, 256], size: 812 });
    expect(placesOf([600, 2000, 600], 1000)).to.deep.equal({ offsets: [0, 0, 0], size: 2000 });
  });

  it('calls small problems more often back to back', () => {
    expect(warmCalls(1e-5, 10)).to.equal(10);
    expect(warmCalls(1e-4, 10)).to.equal(3);
    expect(warmCalls(1e-2, 10)).to.equal(2);
  });

  it('shares the time for compiling between types, layouts and what is fused', () => {
    const budget = new CompileBudget(12, { dtypes: ['float32', 'float16'], layouts: ['channels first'], fused: ['none', 'relu'] });
    const float32 = { ...PROBLEM, dtype: 'float32' as const };
    expect(budget.refusal(float32, 'none')).to.equal(null);
    budget.spend(float32, 'none', 4);
    expect(budget.refusal(float32, 'none')).to.equal('the share of channels first float32 none in its 12 s for compiling is over');
    expect([budget.refusal(float32, 'relu'), budget.refusal(PROBLEM, 'none')]).to.deep.equal([null, null]);
    budget.spend(PROBLEM, 'none', 8);
    expect(budget.refusal(PROBLEM, 'relu')).to.equal('its 12 s for compiling are over');
    expect(new CompileBudget(0, parseOptions([])).refusal(PROBLEM, 'none')).to.equal('switched off by --compile 0');
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
    expect(failures.some(isOfOurs)).to.equal(false);
    for (const contender of ['ours', 'ours, CUDA graph', 'ours and PyTorch', 'all']) fail(contender, 'no', 'there');
    expect(failures.filter(isOfOurs)).to.have.length(4);
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
    expect(parseOptions(['--compile', '0']).compileSeconds).to.equal(0);
    expect(parseOptions(['--rehearse']).networks.map(({ name }) => name)).to.deep.equal(['tiny', 'tiny list']);
    const refusals: [string[], string][] = [
      [['--dtypes', 'float64'], "Expected float32, float16, bfloat16 for --dtypes but received 'float64'"],
      [['--networks', 'vgg'], 'Expected resnet50, mobilenetv2, 1d, 3d, densenet121 for --networks'],
      [['--fused', 'toString'], 'Expected none, relu, add+relu for --fused'],
      [['--rounds', '0'], '--rounds'],
      [['--compile', '-1'], '--compile'],
      [['--compile', 'some'], 'Expected 0 or a positive integer for --compile but received some'],
      [['--compile', ''], '--compile'],
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
