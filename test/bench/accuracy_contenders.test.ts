/** Who takes part in the accuracy benchmark computes the same thing, on the tested device and beside it. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Contender } from '../../bench/accuracy/contender';
import { startContenders } from '../../bench/accuracy/contenders';
import { errorOf, expectationOf } from '../../bench/accuracy/errors';
import { cudnn, ours } from '../../bench/accuracy/ours';
import { makeProblem, type Shape } from '../../bench/accuracy/problem';
import { startPyTorch } from '../../bench/accuracy/pytorch';
import { roundedMean } from '../../bench/accuracy/rounded_mean';
import { startTensorFlow } from '../../bench/accuracy/tensorflow';
import { unitRoundoff } from '../../lib/validation/number_format';
import { describeCudnn } from '../helpers/cudnn';
import { device, emulated } from '../helpers/device';
import { skip } from '../helpers/shared';

const SHAPE: Shape = [6, 5, 4, 3];

/** Those with a process of their own, which ends with the test, however that ends. */
const open: Contender[] = [];

async function startPython(python: string): Promise<[Contender, Contender | null]> {
  const started = await startPyTorch(python);
  open.push(started[0]);
  return started;
}

/** In every type and layout that it has, within some roundings of values of size 4 at most. */
async function expectBatchNorm(contender: Contender): Promise<void> {
  for (const dtype of contender.dtypes) {
    const problem = makeProblem(dtype, 0, SHAPE);
    const expectation = expectationOf(problem);
    const allowed = 8 * unitRoundoff(dtype) + 64 * unitRoundoff('float32');
    for (const layout of contender.layouts) {
      const step = await contender.step(problem, layout);
      for (const quantity of ['output', 'dx'] as const)
        expect(errorOf(quantity, 'absolute', step, expectation), `${dtype}, ${layout}, ${quantity}`).to.be.at.most(allowed);
      for (const quantity of ['dγ', 'dβ'] as const)
        expect(errorOf(quantity, 'share of terms', step, expectation), `${dtype}, ${layout}, ${quantity}`).to.be.at.most(1e-6);
    }
  }
}

describe('contenders of the accuracy benchmark', () => {
  afterEach(() => {
    for (const contender of open.splice(0)) contender.close();
  });

  it('are ours, named by the device, and by what it is where that is emulated', async () => {
    const contender = ours(device);
    expect(contender).to.deep.include({ role: 'ours', name: `ours, ${device.name}${emulated ? ' (emulated)' : ''}` });
    expect(contender.dtypes).to.deep.equal(['float32', 'float16', 'bfloat16']);
    await expectBatchNorm(contender);
  });

  it('are TensorFlow.js', async () => {
    const contender = await startTensorFlow();
    expect(contender).to.deep.include({ role: 'rival', layouts: ['channels last'], dtypes: ['float32'] });
    await expectBatchNorm(contender);
  });

  it('are a rounded mean, whose error grows with the mean', async () => {
    await expectBatchNorm(roundedMean);
    const problem = makeProblem('float32', 1e6, SHAPE);
    const step = await roundedMean.step(problem, 'channels first');
    expect(errorOf('output', 'absolute', step, expectationOf(problem))).to.be.within(1e-4, 1 / 16);
  });

  it('are PyTorch, on the CPU', async function () {
    const python = process.env.BENCH_PYTHON;
    if (!python) skip(this, 'BENCH_PYTHON names no Python with torch');
    const [contender] = await startPython(python);
    await expectBatchNorm(contender);
  });

  describe('PyTorch with a GPU, played by a script', () => {
    const folder = mkdtempSync(join(tmpdir(), 'accuracy-'));
    after(() => rmSync(folder, { recursive: true }));

    let played = 0;
    /** It gives the input as output and the gradient as dx, and refuses float16. */
    function play(cuda: object | null): string {
      const python = join(folder, `python-${++played}`);
      const script = `#!${process.execPath}
        console.log(JSON.stringify({ version: '9.9', threads: 3, cuda: ${JSON.stringify(cuda)} }));
        require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
          const { device, dtype, layout, shape, x, dy } = JSON.parse(line);
          const told = Buffer.from(Float32Array.of(shape[1], layout === 'channels last').buffer).toString('base64');
          console.log(JSON.stringify(dtype === 'float16' ? { error: 'no half on ' + device } : { output: x, dx: dy, dγ: told, dβ: told }));
        });`;
      writeFileSync(python, script);
      chmodSync(python, 0o755);
      return python;
    }

    it('is told by the state of its cuDNN', async () => {
      const [cpu, enabled] = await startPython(play({ device: 'Some GPU', cudnn: true, cudnnVersion: 91002 }));
      expect(cpu).to.deep.include({ name: 'PyTorch CPU', version: '9.9', role: 'rival' });
      expect(enabled).to.deep.include({ name: 'PyTorch CUDA, cuDNN enabled', role: 'rival' });
      expect(enabled!.note).to.include('Some GPU').and.include('cuDNN 91002 or its own kernels');
      const [, disabled] = await startPython(play({ device: 'Some GPU', cudnn: false, cudnnVersion: 91002 }));
      expect(disabled).to.have.property('name', 'PyTorch CUDA, cuDNN disabled');
      expect(disabled!.note).to.include('its own kernels').and.not.include('cuDNN');
    });

    it('gets and gives values bit by bit, and its refusals are errors', async () => {
      const [, cuda] = await startPython(play({ device: 'Some GPU', cudnn: true, cudnnVersion: null }));
      const problem = makeProblem('float32', 1e5, SHAPE);
      const step = await cuda!.step(problem, 'channels last');
      expect(step.output).to.deep.equal(problem.x);
      expect(step.dx).to.deep.equal(problem.dy);
      expect(Array.from(step.dγ)).to.deep.equal([5, 1]);
      const refusal = await cuda!.step(makeProblem('float16', 0, SHAPE), 'channels first').catch((error: unknown) => error);
      expect(refusal).to.have.property('message', 'no half on cuda');
    });

    it('takes part with the CPU alone where it has no GPU, which is said', async () => {
      const { contenders, leftOut } = await startContenders('cpu', play(null));
      open.push(...contenders);
      expect(contenders.map(({ name }) => name)).to.include('PyTorch CPU');
      expect(leftOut).to.deep.include({ name: 'PyTorch CUDA', reason: 'torch.cuda.is_available() is false' });
    });
  });
});

describeCudnn('cuDNN in the accuracy benchmark', () => {
  it('computes the same, and is called a stand-in where it is one', async () => {
    const contender = cudnn(device);
    expect(contender).to.deep.include(
      emulated ? { role: 'stand-in', name: `cuDNN stand-in, ${device.name} (emulated)` } : { role: 'rival', name: `cuDNN, ${device.name}` },
    );
    await expectBatchNorm(contender);
  });

  it('takes part on the GPU, and not where another device is asked for', async () => {
    const on = async (name?: string) => {
      const { contenders, leftOut } = await startContenders(name, undefined);
      return { names: contenders.map((contender) => contender.name), leftOut };
    };
    expect((await on()).names.slice(0, 3)).to.deep.equal(['ours, cpu', ours(device).name, cudnn(device).name]);
    expect((await on('cpu')).leftOut).to.deep.include({ name: 'cuDNN', reason: 'it needs a CUDA device, and --device is cpu' });
  });
});
