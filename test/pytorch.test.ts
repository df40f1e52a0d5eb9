/**
 * Random problems against PyTorch itself, in float64, where BENCH_PYTHON names a Python that has it: the reference these tests rest on
 * and our results are both held to it.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import type { DType } from '../lib/index';
import { DTYPES, roundAll } from '../lib/validation/number_format';
import { ACTIVATIONS, backward, batchStatistics, forward, viewOf } from '../lib/validation/oracle';
import { backwardBound, forwardBound, keepOffKinks, type Pass } from '../lib/validation/tolerance';
import { channelsOf, runStep, type Setup, type Step } from './helpers/layer';
import { normals, uniform } from './helpers/random';
import { skip } from './helpers/shared';
import { expectWithin, within } from './helpers/within';

const PROBLEMS = 96;

type Problem = Required<Omit<Setup, 'inPlace' | 'runningVariance' | 'backend'>> & { momentum: number };
type Answer = { [name in keyof Step]: Step[name] extends infer T ? (T extends ArrayLike<number> ? number[] : Step[name]) : never };

function problemOf(seed: number): Problem {
  const next = uniform(seed);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(next() * choices.length)]!;
  const size = (): number => 1 + Math.floor(next() * 9);
  const shape = [2 + size(), ...Array.from({ length: 1 + Math.floor(next() * 4) }, size)];
  const axis = 1 + Math.floor(next() * (shape.length - 1)); // the first dimension stays a batch of at least three
  const channels = channelsOf(shape, axis);
  const count = shape.reduce((a, b) => a * b, 1);
  const dtype: DType = pick(DTYPES);
  const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
  const parameters = (offset: number, mean: number): Float64Array => roundAll(normals(channels, seed + offset, mean), parameterDtype);
  const problem: Problem = {
    shape,
    axis,
    dtype,
    parameterDtype,
    activation: pick(ACTIVATIONS),
    eps: pick([1e-5, 1e-3, 0.1]),
    momentum: pick([0.1, 0.9, 0, -0.5]),
    training: next() < 0.6,
    x: roundAll(normals(count, seed + 1, pick([0, 5, -30]), pick([1, 4])), dtype),
    dy: roundAll(normals(count, seed + 2), dtype),
    residual: next() < 0.5 ? roundAll(normals(count, seed + 3), dtype) : null,
    weight: next() < 0.7 ? parameters(4, 1) : null,
    bias: next() < 0.7 ? parameters(5, 0) : null,
    runningMean: parameters(6, 0),
    runningVar: parameters(7, 0).map((v) => Math.abs(v) + 0.25),
  };
  return { ...problem, dy: keepOffKinks(problem.dy, passOf(problem)) };
}

function passOf({ x, shape, axis, training, runningMean, runningVar, ...layer }: Problem): Pass {
  const view = viewOf(shape, axis);
  const statistics = training ? batchStatistics(x, view) : { mean: runningMean, variance: runningVar };
  return { x, view, statistics, layer, dtype: layer.dtype, parameterDtype: layer.parameterDtype };
}

function ask(python: string, problems: readonly Problem[]): { version: string; answers: Answer[] } {
  const plain = (_: string, value: unknown): unknown => (value instanceof Float64Array ? [...value] : value);
  const { stdout, stderr, status } = spawnSync(python, [join(__dirname, 'pytorch_reference.py')], {
    input: JSON.stringify(problems, plain),
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`${python} failed: ${stderr}`);
  return JSON.parse(stdout) as { version: string; answers: Answer[] };
}

describe('PyTorch', function () {
  this.timeout(120_000);
  const problems = Array.from({ length: PROBLEMS }, (_, i) => problemOf(1000 * (i + 1)));
  let answers: Answer[];

  before(function () {
    const python = process.env.BENCH_PYTHON;
    if (!python) skip(this, 'BENCH_PYTHON names no Python with PyTorch');
    const { version, answers: given } = ask(python, problems);
    console.log(`    PyTorch ${version}`);
    answers = given;
  });

  it('agrees with the reference of these tests', () => {
    problems.forEach((problem, i) => {
      const { x, view, statistics, layer } = passOf(problem);
      const { output, gradients } = answers[i]!;
      const close = (actual: ArrayLike<number>, stated: ArrayLike<number>, what: string): void =>
        expectWithin(actual, within(stated, 1e-11, 1e-11), 'float64', `problem ${i}: ${what}`);
      close(forward(x, view, statistics, layer), output, 'output');
      const own = backward(problem.dy, x, view, statistics, !problem.training, layer);
      for (const name of ['input', 'weight', 'bias', 'residual'] as const) {
        if (gradients![name]) close(own[name], gradients![name], `gradient of ${name}`);
      }
    });
  });

  it('agrees with the layer, in every dtype, to the rounding of its arithmetic', async () => {
    for (const [i, problem] of problems.entries()) {
      const pass = passOf(problem);
      const { dtype, parameterDtype } = problem;
      const step = await runStep(problem);
      const { output, runningMean, runningVar, gradients } = answers[i]!;
      expectWithin(step.output, { ...forwardBound(pass), expected: output }, dtype, `problem ${i}: output`);
      const roundoff = parameterDtype === 'float64' ? 1e-13 : 2e-6;
      expectWithin(step.runningMean, within(runningMean, roundoff, roundoff), parameterDtype, `problem ${i}: running mean`);
      expectWithin(step.runningVar, within(runningVar, roundoff, roundoff), parameterDtype, `problem ${i}: running variance`);
      const bounds = backwardBound(problem.dy, pass, !problem.training);
      for (const name of ['input', 'weight', 'bias', 'residual'] as const) {
        const stated = gradients![name];
        expect(step.gradients![name] === null, `problem ${i}: whether ${name} has a gradient`).to.equal(stated === null);
        if (!stated) continue;
        const type = name === 'weight' || name === 'bias' ? parameterDtype : dtype;
        expectWithin(step.gradients![name]!, { ...bounds[name], expected: stated }, type, `problem ${i}: gradient of ${name}`);
      }
    }
  });
});
