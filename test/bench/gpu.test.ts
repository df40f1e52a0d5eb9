import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { measure, type Timer } from '../../bench/gpu/measure';
import { parseOptions } from '../../bench/gpu/options';
import type { Calls } from '../../bench/gpu/ours';
import { plot } from '../../bench/gpu/plot';
import { fewestBytes, type GpuProblem, gpuProblemName, problems, SHAPES, TINY_SHAPES } from '../../bench/gpu/problem';
import { problemTable } from '../../bench/gpu/table';
import { Device } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { skip } from '../helpers/shared';

const PROBLEM: GpuProblem = { shape: [32, 64, 56, 56], layout: 'channels first', dtype: 'float16' };

/** Names instead of work; the timer looks the name up. */
function scripted(times: Record<string, number[]>) {
  const log: string[] = [];
  const named = (name: string) => Object.assign(() => {}, { work: name });
  const each = (kind: string) => ({
    inference: named(`${kind} inference`),
    trainingForward: named(`${kind} training`),
    backward: named(`${kind} backward`),
  });
  const calls: Calls = { operation: each('ours'), copy: each('copy'), release: () => {} };
  const take = (cache: string, call: () => void): number => {
    const { work } = call as unknown as { work: string };
    log.push(`${cache} ${work}`);
    return times[`${cache} ${work}`]?.shift() ?? 1;
  };
  const timer: Timer = { cold: async (call) => take('cold', call), warm: async (call) => take('warm', call) };
  return { calls, timer, log };
}

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['--import=tsx', resolve(__dirname, '../../bench/gpu/main.ts'), ...args], { encoding: 'utf8' });

describe('GPU benchmark', () => {
  it('measures each operation just after a copy, with either state of the cache', async () => {
    const { calls, timer, log } = scripted({
      'cold ours inference': [2, 4, 12],
      'cold copy inference': [1, 1, 4],
    });
    let rounds = 0;
    const result = await measure(PROBLEM, calls, timer, { rounds: 3, calls: 5, onRound: () => ++rounds });
    expect(rounds).to.equal(3);
    expect(log.slice(0, 4)).to.deep.equal(['cold copy inference', 'cold ours inference', 'warm copy inference', 'warm ours inference']);
    expect(log).to.have.length(3 * 12);
    const bytes = fewestBytes(PROBLEM, 'inference');
    expect(result.results[0]).to.deep.include({ operation: 'inference', cache: 'cold', bytes, copies: 3 });
    expect(result.results[0]!.bytesPerSecond).to.equal(bytes / 4);
    expect(result.results[0]!.copyBytesPerSecond).to.equal(bytes);
  });

  it('knows the bytes: two tensors forward, three backward, of the type', () => {
    const count = 32 * 64 * 56 * 56;
    expect(fewestBytes(PROBLEM, 'trainingForward')).to.equal(2 * count * 2);
    expect(fewestBytes({ ...PROBLEM, dtype: 'float32' }, 'backward')).to.equal(3 * count * 4);
  });

  it('measures ResNet-50 at batch 32, in both layouts and three types', () => {
    const { shapes, dtypes } = parseOptions([]);
    expect(shapes).to.equal(SHAPES);
    expect(new Set(problems(shapes, dtypes).map(gpuProblemName))).to.have.property('size', 9 * 2 * 3);
    for (const [n] of shapes) expect(n).to.equal(32);
  });

  it('reads its options and refuses what it does not know', () => {
    expect(parseOptions(['--shapes', '8x2x3x4', '--dtypes', 'float16,bfloat16', '--rounds', '3', '--out', 'x.json'])).to.deep.include({
      shapes: [[8, 2, 3, 4]],
      dtypes: ['float16', 'bfloat16'],
      rounds: 3,
      out: 'x.json',
      rehearse: false,
    });
    expect(parseOptions(['--rehearse'])).to.deep.include({ shapes: TINY_SHAPES, rehearse: true });
    expect(() => parseOptions(['--dtypes', 'float64'])).to.throw('Expected float32, float16, bfloat16 for --dtypes but received float64');
    expect(() => parseOptions(['--rounds', '0'])).to.throw('--rounds');
    expect(() => parseOptions(['--faster'])).to.throw('--faster');
  });

  it('shows every result in the table and in the plot', async () => {
    const { calls, timer } = scripted({ 'warm ours backward': [1.5], 'warm copy backward': [1] });
    const result = await measure(PROBLEM, calls, timer, { rounds: 1, calls: 1 });
    expect(problemTable(result))
      .to.match(/^\[32,64,56,56\] channels first float16\n/)
      .and.match(/backward +warm .* 1\.50$/m);
    expect(plot([result]))
      .to.match(/^<svg[\s\S]*<\/svg>\s*$/)
      .and.include('Backward, warm L2')
      .and.not.include('NaN');
  });

  it('ends with the reason where there is no GPU', function () {
    if (Device.list().some(({ type }) => type === 'cuda')) skip(this, 'CUDA works here');
    const { status, stderr, stdout } = run();
    expect(status).to.equal(1);
    expect(stderr).to.include('cuda:0 is not available');
    expect(stdout).to.equal('');
  });
});

describeEmulated('GPU benchmark on an emulated GPU', function () {
  this.timeout(120_000);

  it('is refused', () => {
    const { status, stderr, stdout } = run();
    expect(status).to.equal(1);
    expect(stderr).to.include('no benchmark takes its times');
    expect(stdout).to.equal('');
  });

  it('is rehearsed: everything runs, and no time is shown', () => {
    const { status, stderr, stdout } = run('--rehearse');
    expect(stderr).to.equal('');
    expect(stdout).to.match(/^Rehearsed on Emulated .*: 12 problems; no times are shown and nothing is written\n$/);
    expect(status).to.equal(0);
  });
});
