/** The accuracy benchmark: what it measures, how it judges, what it writes. Its contenders are tested in accuracy_contenders.test.ts. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import type { Contender, Step } from '../../bench/accuracy/contender';
import { aspectsOf, errorOf, expectationOf } from '../../bench/accuracy/errors';
import { type Measured, measure } from '../../bench/accuracy/measure';
import { parseOptions } from '../../bench/accuracy/options';
import { type BatchDType, fromLayout, makeProblem, type Problem, type Shape, toLayout } from '../../bench/accuracy/problem';
import { type Report, toJson } from '../../bench/accuracy/report';
import { errorText, meanName, rowName, tableText } from '../../bench/accuracy/table';
import { newestResult } from '../../bench/newest_result';
import { readme } from '../helpers/readme';

const SHAPE: Shape = [3, 4, 2, 5];
const ROOT = resolve(__dirname, '../..');

/** A contender that knows the answer, and gives what `spoil` makes of it. */
function knowing(name: string, role: Contender['role'], spoil: (step: Step, problem: Problem) => Step): Contender {
  const step = async (problem: Problem) => spoil(expectationOf(problem).step, problem);
  return { name, version: '1', note: '', role, layouts: ['channels first'], dtypes: ['float32'], step, close: () => {} };
}

const shifted =
  (by: number) =>
  (step: Step): Step => ({ ...step, output: Float64Array.from(step.output, (value) => value + by) });

const measured = (contenders: readonly Contender[], dtypes: readonly BatchDType[] = ['float32']): Promise<Measured> =>
  measure(contenders, SHAPE, dtypes, () => {});

describe('accuracy benchmark', () => {
  it('draws data of deviation 1 about the mean, of numbers that the type has', () => {
    const { x, dy } = makeProblem('bfloat16', 100, [8, 4, 16, 16]);
    const deviation = (values: Float32Array, mean: number) =>
      Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    expect(deviation(x, 100)).to.be.closeTo(1, 0.05);
    expect(deviation(dy, 0)).to.be.closeTo(1, 0.05);
    for (const value of x) expect(value % 0.5).to.equal(0); // its last place from 64 to 128
    expect(makeProblem('bfloat16', 100, [8, 4, 16, 16]).x).to.deep.equal(x);
  });

  it('puts values in the order of a layout, and back', () => {
    const values = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
    const last = toLayout(values, [2, 3, 2, 2], 'channels last');
    expect([...last.slice(0, 5)]).to.deep.equal([0, 4, 8, 1, 5]);
    expect(last[12]).to.equal(12);
    expect(fromLayout(last, [2, 3, 2, 2], 'channels last')).to.deep.equal(values);
    expect(toLayout(values, [2, 3, 2, 2], 'channels first')).to.equal(values);
  });

  it('measures the distance from batch normalization, not from a copy of itself', () => {
    const problem = makeProblem('float32', 1e3, SHAPE);
    const [n, c, h, w] = SHAPE;
    const channel = 2;
    const indices = Array.from({ length: n * h * w }, (_, i) => (Math.floor(i / (h * w)) * c + channel) * h * w + (i % (h * w)));
    const mean = (of: (i: number) => number) => indices.reduce((sum, i) => sum + of(i), 0) / indices.length;
    const center = mean((i) => problem.x[i]!);
    const deviation = Math.sqrt(mean((i) => (problem.x[i]! - center) ** 2) + 1e-5);
    const y = (i: number) => (problem.x[i]! - center) / deviation;
    const { step, terms } = expectationOf(problem);
    const bias = mean((i) => problem.dy[i]!);
    const weight = mean((i) => problem.dy[i]! * y(i));
    for (const i of indices) {
      expect(step.output[i]).to.be.closeTo(y(i), 1e-10);
      expect(step.dx[i]).to.be.closeTo((problem.dy[i]! - bias - y(i) * weight) / deviation, 1e-10);
    }
    expect(step.dβ[channel]).to.be.closeTo(bias * indices.length, 1e-10);
    expect(step.dγ[channel]).to.be.closeTo(weight * indices.length, 1e-10);
    expect(terms.dβ[channel]).to.be.closeTo(mean((i) => Math.abs(problem.dy[i]!)) * indices.length, 1e-10);
    expect(terms.dγ[channel]).to.be.closeTo(mean((i) => Math.abs(problem.dy[i]! * y(i))) * indices.length, 1e-10);
  });

  it('measures errors in the units it names', () => {
    const expectation = {
      dtype: 'float16' as const,
      step: { output: [1, 2 + 2 ** -12, 1e-4], dx: [0, 0, 0], dγ: [10], dβ: [-5] },
      terms: { dγ: Float64Array.of(40), dβ: Float64Array.of(8) },
    };
    const actual = { output: [1, 2 + 2 ** -8, 2e-4], dx: [0, -0.25, 0.125], dγ: [10.5], dβ: [-5] };
    const error = (quantity: keyof Step, measure: Parameters<typeof errorOf>[1], step: Step = actual) =>
      errorOf(quantity, measure, step, expectation);
    expect(error('dx', 'absolute')).to.equal(0.25);
    expect(error('dγ', 'share of terms')).to.equal(0.5 / 40);
    expect(error('dβ', 'share of terms')).to.equal(0);
    // From 2 to 4 the last place is 2^-9: off by 2 of them less an eighth. 1e-4 is off by less than the one of 1/8.
    expect(error('output', 'beyond rounding')).to.equal(2 - 1 / 8 - 1 / 2);
    expect(error('output', 'beyond rounding', { ...actual, output: [1, 2, 1e-4] })).to.equal(0);
    expect(error('output', 'share not nearest')).to.equal(2 / 3);
    expect(error('output', 'absolute', { ...actual, output: [1, Number.NaN, 0] })).to.equal(Number.POSITIVE_INFINITY);
    expect(() => error('output', 'absolute', { ...actual, output: [1] })).to.throw('1 values came for output instead of 3');
  });

  it('sees a sabotaged step, and says who is better where', async () => {
    const { tables } = await measured([knowing('ours, cpu', 'ours', shifted(1e-3)), knowing('rival', 'rival', shifted(1e-6))]);
    const [output, dx] = tables;
    expect(output!.rows[0]).to.deep.include({ implementation: 'ours, cpu', met: false });
    expect(output!.rows[0]!.errors[0]).to.be.closeTo(1e-3, 1e-12);
    expect(output!.rows[1]).not.to.have.property('met');
    expect(output!.comparisons.map(({ verdict }) => verdict)).to.deep.equal(['worse', 'worse', 'worse', 'worse']);
    expect(output!.comparisons[0]).to.deep.include({ ours: 'ours, cpu', layout: 'channels first', mean: 0, rival: 'rival' });
    expect(tableText(output!))
      .to.match(/ours, cpu, channels first +1\.0e-3 .* 2e-6 MISSED/)
      .and.include('ours, cpu, against the best rival, channels first: better 0, equal 0, worse 4 of 4')
      .and.include('worse: channels first, mean 1e6: 1.0e-3, rival 1.0e-6');
    expect(dx!.comparisons.map(({ verdict }) => verdict)).to.deep.equal(['equal', 'equal', 'equal', 'equal']);
  });

  it('calls a target met that was met, and compares with rivals alone, the best of them', async () => {
    const { tables } = await measured([
      knowing('ours, cpu', 'ours', shifted(1e-7)),
      knowing('a', 'rival', shifted(1e-4)),
      knowing('b', 'rival', shifted(1e-5)),
      knowing('c', 'stand-in', shifted(0)),
      knowing('d', 'yardstick', shifted(0)),
    ]);
    expect(tables[0]).to.deep.include({ quantity: 'output', measure: 'absolute', target: 2e-6 });
    expect(tables[0]!.rows[0]).to.have.property('met', true);
    expect(tables[0]!.comparisons.map(({ rival, verdict }) => `${rival} ${verdict}`)).to.deep.equal(Array(4).fill('b better'));
    for (const table of tables.slice(1)) expect(table).not.to.have.property('target');
  });

  it('tells what is no number, and who gave no answer', async () => {
    const refusing = knowing('refusing', 'rival', () => {
      throw new Error('not supported');
    });
    const { tables, failures } = await measured([knowing('ours, cpu', 'ours', shifted(Number.NaN)), refusing]);
    expect(failures).to.have.length(4);
    const failure = { implementation: 'refusing', layout: 'channels first', dtype: 'float32', mean: 1e3, reason: 'not supported' };
    expect(failures[1]).to.deep.equal(failure);
    expect(tables[0]!.rows[0]).to.have.property('met', false);
    expect(tables[0]!.rows[1]!.errors).to.deep.equal([null, null, null, null]);
    expect(tables[0]!.comparisons).to.deep.equal([]);
    expect(tableText(tables[0]!))
      .to.include('not finite')
      .and.match(/refusing, channels first +– +– +– +–\n/)
      .and.include('no rival took part');
    expect(JSON.parse(toJson({ tables } as Report)).tables[0].rows[0].errors).to.deep.equal(Array(4).fill('Infinity'));
    const failing = await measured([{ ...refusing, role: 'ours' }]).catch((error: unknown) => error);
    expect(failing).to.have.property('message', 'not supported');
  });

  it('has a table for every aspect of every type', async () => {
    const contender: Contender = { ...knowing('ours, cpu', 'ours', (step) => step), dtypes: ['float32', 'float16'] };
    const { tables } = await measured([contender], ['float32', 'float16', 'bfloat16']);
    expect(tables.map(({ dtype }) => dtype)).to.deep.equal([
      ...Array(4).fill('float32'),
      ...Array(6).fill('float16'),
      ...Array(6).fill('bfloat16'),
    ]);
    expect(tables.filter(({ dtype }) => dtype === 'float16').map(({ quantity, measure }) => ({ quantity, measure }))).to.deep.equal(
      aspectsOf('float16'),
    );
    expect(tables.map(({ rows }) => rows.length)).to.deep.equal([...Array(10).fill(1), ...Array(6).fill(0)]);
  });

  it('reads its options and refuses what it does not know', () => {
    expect(parseOptions([])).to.deep.equal({ quick: false, device: undefined, out: undefined, json: false, help: false });
    expect(parseOptions(['--quick', '--device', 'cuda:1', '--out', 'x.json', '--json'])).to.deep.equal({
      quick: true,
      device: 'cuda:1',
      out: 'x.json',
      json: true,
      help: false,
    });
    expect(() => parseOptions(['--device', 'gpu'])).to.throw("expected auto, cpu, cuda or cuda:N for --device but received 'gpu'");
    expect(() => parseOptions(['--faster'])).to.throw('--faster');
  });

  describe('as a command', () => {
    const folder = mkdtempSync(join(tmpdir(), 'accuracy-'));
    after(() => rmSync(folder, { recursive: true }));

    const run = (python: string, ...args: string[]) =>
      spawnSync(process.execPath, ['--import=tsx', join(ROOT, 'bench/accuracy/main.ts'), ...args], {
        encoding: 'utf8',
        env: { ...process.env, BENCH_PYTHON: python },
      });

    it('writes one JSON, alone on stdout and to a file, and tells who is left out on stderr', () => {
      const out = join(folder, 'deep', 'report.json');
      const { status, stdout, stderr } = run('', '--quick', '--device', 'cpu', '--json', '--out', out);
      expect(stderr).to.include('PyTorch is left out: BENCH_PYTHON names no Python with torch');
      expect(stderr).to.match(/cuDNN is left out: .+/);
      expect(stderr).to.include('10/10: bfloat16, mean 100');
      expect(status).to.equal(0);
      expect(readFileSync(out, 'utf8')).to.equal(stdout);
      const report = JSON.parse(stdout) as Report;
      expect(report).to.include.keys('date', 'commit', 'machine', 'shape', 'eps', 'implementations', 'leftOut', 'failures', 'tables');
      expect(report).to.deep.include({ shape: [4, 16, 28, 28], failures: [] });
      expect(report.machine.node).to.equal(process.version);
      expect(report.implementations.map(({ name }) => name)).to.deep.equal([
        'ours, cpu',
        'TensorFlow.js wasm',
        'one rounded mean, all else exact',
      ]);
      expect(report.tables).to.have.length(16);
      const [first] = report.tables;
      expect(first!.rows.map(rowName)).to.deep.equal([
        'ours, cpu, channels first',
        'ours, cpu, channels last',
        'TensorFlow.js wasm, channels last',
        'one rounded mean, all else exact',
      ]);
      // A mean rounded to float32 is off by up to 1/32 at 1e6, and one million times less at 1.
      const [, , , rounded] = first!.rows;
      expect(rounded!.errors[3]).to.be.within(1e-3, 1 / 32);
      expect(rounded!.errors[0]).to.be.below(1e-7);
    });

    it('ends with status 2 and a hint where it is called wrongly', () => {
      const { status, stdout, stderr } = run('', '--faster');
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.include("'--faster'").and.include('-- --help');
    });

    it('ends with the reason where the Python that was named does not run', () => {
      const python = join(folder, 'no-python');
      const { status, stdout, stderr } = run(python, '--quick', '--device', 'cpu');
      expect(status).to.equal(1);
      expect(stdout).to.equal('');
      expect(stderr).to.include(`${python} ended without an answer: spawn ${python} ENOENT`);
    });
  });

  it("has the README's figures among its results", () => {
    const { tables } = newestResult<Report>('-accuracy.json');
    for (const { quantity, measure, means, rows } of tables.filter(({ dtype }) => dtype === 'float32').slice(0, 2)) {
      expect(readme(), quantity).to.include(`| mean | ${means.map(meanName).join(' | ')} |\n`);
      for (const row of rows) {
        const cells = row.errors.map((error) => errorText(error, measure));
        expect(readme()).to.include(`| ${[rowName(row), ...cells].join(' | ')} |\n`);
      }
    }
    const cells = tables.flatMap(({ comparisons }) => comparisons);
    const count = (which: string) => cells.filter(({ verdict }) => verdict === which).length;
    expect(readme()).to.include(`${tables.length} such tables`).and.include(`Of their ${cells.length} cells`);
    expect(readme()).to.include(`ours is better in ${count('better')}, equal in ${count('equal')} and worse in ${count('worse')}`);
  });
});
