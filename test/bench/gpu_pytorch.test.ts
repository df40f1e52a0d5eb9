/** PyTorch's process of the GPU benchmark: what it answers, and what becomes of one that fails. */

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { summarize } from '../../bench/cpu/statistics';
import { firstValues } from '../../bench/gpu/check';
import { collectIn, type Failure } from '../../bench/gpu/failures';
import { inputsOf, PERIOD, repeated, SEEDS, valuesOf } from '../../bench/gpu/inputs';
import type { Cell } from '../../bench/gpu/measure';
import type { Fused } from '../../bench/gpu/networks';
import type { GpuProblem } from '../../bench/gpu/problem';
import { PyTorch } from '../../bench/gpu/pytorch';
import { Device } from '../../lib/index';
import { device } from '../helpers/device';
import { skip } from '../helpers/shared';

const PROBLEM: GpuProblem = { network: 'some', shape: [4, 3, 5, 2], layout: 'channels last', dtype: 'bfloat16' };

/** Ours for PyTorch to be held against; an emulated GPU would take minutes. */
const cpu = Device.get('cpu');

const cellsOf = (fused: Fused): Cell[] =>
  (['inference', 'trainingForward', 'backward'] as const).flatMap((operation) =>
    (['cold', 'warm'] as const).map((cache) => ({ operation, fused, cache, bytes: 1, copySeconds: summarize([1]), times: [] })),
  );

describe("GPU benchmark's inputs", () => {
  it('repeat random values in the order of memory', async () => {
    using tensor = repeated(SEEDS.gradient, [3, 1_100_000], device, 'float32');
    const values = await tensor.read();
    const expected = valuesOf(SEEDS.gradient);
    for (const index of [0, 1, PERIOD - 1, PERIOD, 2 * PERIOD - 1, 2 * PERIOD + 7, 3_299_999]) {
      expect(values[index], `at ${index}`).to.equal(expected[index % PERIOD]);
    }
  });
});

describe('PyTorch in the GPU benchmark', function () {
  this.timeout(120_000);

  const python = process.env.BENCH_PYTHON;
  let folder = '';
  let pytorch: PyTorch | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-gpu-'));
  });
  afterEach(() => {
    pytorch?.close();
    pytorch = undefined;
    rmSync(folder, { recursive: true });
  });

  /** A program in place of Python; pytorch.py is its first argument. */
  async function startScript(...lines: string[]): Promise<PyTorch> {
    const script = join(folder, 'python');
    writeFileSync(script, ['#!/bin/sh', ...lines].join('\n'));
    chmodSync(script, 0o755);
    pytorch = await PyTorch.start(script, 'cpu', 1024);
    return pytorch;
  }
  const values = valuesOf(SEEDS.input);
  const hello = `echo '${JSON.stringify({ version: '1', cudnn: null, sample: [values[0], values[1], values[PERIOD - 1]] })}'`;

  async function ask(
    of: PyTorch,
    {
      seconds = 60,
      compileNot = 'not asked' as string | null,
      fused = 'none' as Fused,
      problem = PROBLEM,
      contenders = [] as string[],
    } = {},
  ) {
    const failures: Failure[] = [];
    const cells = cellsOf(fused);
    for (const { times } of cells) times.push(...contenders.map((contender) => ({ contender, seconds: summarize([1]) })));
    const ours = await firstValues(problem, fused, inputsOf(problem, fused === 'add+relu', cpu));
    const compileSeconds = await of.measure(problem, fused, cells, () => 2, {
      rounds: 3,
      compileNot,
      ours,
      seconds,
      onFailure: collectIn(failures),
    });
    return { cells, compileSeconds, reasons: failures.map(({ contender, reason }) => `${contender}: ${reason}`) };
  }

  async function untilEnded(pid: number): Promise<void> {
    const runs = () => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    for (let wait = 0; wait < 500 && runs(); ++wait) await setTimeout(10);
    expect(runs()).to.equal(false);
  }

  const failureOf = (started: Promise<PyTorch>): Promise<string> =>
    started.then(
      () => expect.fail('it started'),
      ({ message }: Error) => message,
    );

  it('is not there without torch, or with other numbers', async () => {
    expect(await failureOf(startScript(`echo '{"error": "No module named torch"}'`))).to.match(/python: No module named torch$/);
    expect(await failureOf(startScript(`echo '{"version": "1", "cudnn": null, "sample": [1, 2, 3]}'`))).to.include(
      'would compute with other numbers',
    );
    expect(await failureOf(PyTorch.start(join(folder, 'nothing'), 'cpu', 1024))).to.include('ENOENT');
  });

  it('is ended where it is refused', async () => {
    const pid = join(folder, 'pid');
    for (const first of ['{"version": "1", "cudnn": null, "sample": [1, 2, 3]}', 'Welcome to Python']) {
      const message = await failureOf(startScript(`echo $$ > ${pid}`, `echo '${first}'`, 'exec sleep 60'));
      expect(message).to.match(/would compute with other numbers|wrote no JSON but 'Welcome to Python'/);
      await untilEnded(Number(readFileSync(pid, 'utf8')));
    }
  });

  it('is ended where its answer is none, or to another request', async () => {
    const noise = await startScript(hello, 'read line', 'echo a warning', `echo '{"id": 1}'`, 'exec sleep 60');
    const expected = ["PyTorch: pytorch.py wrote no JSON but 'a warning'"];
    expect((await ask(noise)).reasons).to.deep.equal(expected);
    expect((await ask(noise)).reasons).to.deep.equal(expected);
    const late = await startScript(hello, 'read line', `echo '{"id": 7}'`, 'exec sleep 60');
    expect((await ask(late)).reasons).to.deep.equal(['PyTorch: pytorch.py answered request 7 when 1 was asked']);
  });

  it('is started again without compiling, once, where compiling takes too long', async () => {
    const first = await firstValues(PROBLEM, 'none', inputsOf(PROBLEM, false, cpu));
    const times = { cold: [1], warm: [1] };
    const answer = { id: 2, first, eager: { inference: times, trainingForward: times, backward: times } };
    const again = join(folder, 'again');
    const compiling = [`if [ ! -e ${again} ]; then`, `touch ${again}`, 'exec sleep 60', 'fi'];
    const child = await startScript(hello, 'read line', ...compiling, `echo '${JSON.stringify(answer)}'`, 'read line', 'exit 1');
    const { cells, reasons } = await ask(child, { compileNot: null, seconds: 0.5 });
    expect(reasons).to.have.length(1);
    expect(reasons[0]).to.match(/^PyTorch compile: not asked again since .* gave no answer within 0\.5 s and was ended$/);
    for (const { times } of cells) expect(times.map(({ contender }) => contender)).to.deep.equal(['PyTorch eager']);
    expect((await ask(child, { compileNot: null })).reasons[0]).to.match(/^PyTorch: .* ended without an answer/);
  });

  it('is ended when it takes too long, and not asked again', async () => {
    const child = await startScript(hello, 'exec sleep 60');
    const start = performance.now();
    const first = await ask(child, { seconds: 0.2 });
    expect(first.reasons).to.have.length(1);
    expect(first.reasons[0]).to.match(/^PyTorch: .* gave no answer within 0\.2 s and was ended$/);
    expect((await ask(child)).reasons).to.deep.equal(first.reasons);
    expect(performance.now() - start).to.be.below(30_000); // not the 60 s that it sleeps
    expect(first.cells.every(({ times }) => times.length === 0)).to.equal(true);
  });

  it('leaves neither its times nor ours where it computes something else', async () => {
    const answer = { id: 1, first: { output: [1], gradient: [1] }, eager: {} };
    const child = await startScript(hello, 'read line', `echo '${JSON.stringify(answer)}'`, 'read line');
    const { cells, reasons } = await ask(child, { contenders: ['ours', 'cuDNN spatial'] });
    expect(reasons[0]).to.include('ours and PyTorch: they compute different things: the output of PyTorch begins with 1.00');
    for (const { times } of cells) expect(times.map(({ contender }) => contender)).to.deep.equal(['cuDNN spatial']);
  });

  it('keeps what worked where an operation failed', async () => {
    const first = await firstValues(PROBLEM, 'none', inputsOf(PROBLEM, false, cpu));
    const times = { cold: [3, 1, 2], warm: [0.5] };
    const failed = { error: 'no compiler' };
    const eager = { inference: times, trainingForward: times, backward: times };
    const answer = { id: 1, first, eager, compile: { ...eager, backward: failed }, compileSeconds: 4 };
    const child = await startScript(hello, 'read line', `echo '${JSON.stringify(answer)}'`, 'read line');
    const { cells, reasons, compileSeconds } = await ask(child, { compileNot: null });
    expect(reasons).to.deep.equal(['PyTorch compile: no compiler']);
    expect(cells[0]!.times.map(({ contender, seconds }) => [contender, seconds.median])).to.deep.equal([
      ['PyTorch eager', 2],
      ['PyTorch compile', 2],
    ]);
    expect(cells.at(-1)!.times.map(({ contender, seconds }) => [contender, seconds.median])).to.deep.equal([['PyTorch eager', 0.5]]);
    expect(compileSeconds).to.equal(4);
  });

  describe('with torch', () => {
    before(function () {
      if (!python) skip(this, 'BENCH_PYTHON is not set');
    });
    const shapes = [
      [4, 3, 5, 2],
      [6, 3],
      [2, 5, 7],
      [2, 3, 4, 2, 3],
    ];

    it('computes the same on the same numbers: in every shape, layout and type, with all that is fused', async () => {
      pytorch = await PyTorch.start(python!, 'cpu', 1024);
      for (const shape of shapes)
        for (const layout of ['channels first', 'channels last'] as const)
          for (const dtype of ['float32', 'bfloat16', 'float16'] as const)
            for (const fused of ['none', 'relu', 'add+relu'] as const) {
              const { cells, reasons } = await ask(pytorch, { fused, problem: { network: 'some', shape, layout, dtype } });
              expect(reasons, `${shape} ${layout} ${dtype} ${fused}`).to.deep.equal(['PyTorch compile: not asked']);
              for (const { times } of cells) {
                expect(times.map(({ contender, seconds }) => [contender, seconds.samples])).to.deep.equal([['PyTorch eager', 3]]);
                expect(times[0]!.seconds.min).to.be.greaterThan(0);
              }
            }
    });

    it('computes the same on inputs that repeat their numbers', async () => {
      pytorch = await PyTorch.start(python!, 'cpu', 1024);
      for (const layout of ['channels first', 'channels last'] as const) {
        const problem: GpuProblem = { network: 'some', shape: [20, 30, 1, 2000], layout, dtype: 'bfloat16' };
        expect(20 * 30 * 2000).to.be.greaterThan(PERIOD);
        expect((await ask(pytorch, { fused: 'add+relu', problem })).reasons).to.deep.equal(['PyTorch compile: not asked']);
      }
    });

    it('runs steps, and answers what it cannot do with the reason', async () => {
      pytorch = await PyTorch.start(python!, 'cpu', 1024);
      const layers = [
        { shape: [4, 3, 2, 2], fused: 'add+relu' as const },
        { shape: [4, 2, 3, 3], fused: 'none' as const },
      ];
      const { seconds, pipelined } = await pytorch.step(layers, { layout: 'channels last', dtype: 'float32', rounds: 3, seconds: 60 });
      expect([seconds.samples, pipelined.samples]).to.deep.equal([3, 3]);
      expect(seconds.min).to.be.greaterThan(0);
      const single = [{ shape: [1, 3, 1, 1], fused: 'none' as const }];
      const message = await pytorch
        .step(single, { layout: 'channels first', dtype: 'float32', rounds: 1, seconds: 60 })
        .catch((error: Error) => error.message);
      expect(message).to.include('more than 1 value per channel');
      const { backward } = await pytorch.calls([8, 4, 1, 1], 2, 3, 60);
      expect(backward.samples).to.equal(2);
    });
  });
});
