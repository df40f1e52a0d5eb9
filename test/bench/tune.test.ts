import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { choicesFor, tinyProblems } from '../../bench/gpu/tune/candidates';
import { CONSTANTS, type Constants, constantsIn, withRow } from '../../bench/gpu/tune/constants';
import { errorOf, fitConstants, type Model } from '../../bench/gpu/tune/fit';
import { capabilityOf, modelOf, tune } from '../../bench/gpu/tune/main';
import type { Point } from '../../bench/gpu/tune/measure';
import { parseOptions } from '../../bench/gpu/tune/options';
import { describe as inWords, regretOf } from '../../bench/gpu/tune/report';
import { UsageError } from '../../lib/cli/usage';
import { nativeDevice } from '../../lib/device';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';

const TABLE = readFileSync(resolve(__dirname, '../../native/cuda/tuning.h'), 'utf8');
const rowsIn = (table: string): string[] => table.split('\n').filter((line) => /^ {4}\{\d/.test(line));

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['--import=tsx', resolve(__dirname, '../../bench/gpu/tune/main.ts'), ...args], { encoding: 'utf8' });

describe('tuning of the plan', () => {
  const start = constantsIn(TABLE, 9, 0);

  it('finds the constants that made the times', () => {
    const work = Array.from({ length: 40 }, (_, i) => ({ launches: 1 + (i % 3), meetings: i % 5, bytes: (i + 1) * 1e6 }));
    const model: Model = ({ launch, gridMeeting, bandwidth }) =>
      work.map(({ launches, meetings, bytes }) => launches * launch + meetings * gridMeeting + bytes / (bandwidth * 1e12));
    const truth: Constants = { ...start, launch: 3.7e-6, gridMeeting: 9e-7, bandwidth: 0.81 };
    const measured = model(truth);
    expect(errorOf(model(start), measured)).to.be.greaterThan(0.1);
    const found = fitConstants(model, measured, start, CONSTANTS);
    expect(errorOf(model(found), measured)).to.be.lessThan(0.01);
    for (const name of ['launch', 'gridMeeting', 'bandwidth'] as const) expect(found[name] / truth[name]).to.be.within(0.95, 1.05);
    expect(found.piece, 'what plays no part').to.equal(start.piece);
  });

  it('is off by a factor, whichever is greater', () => {
    expect(errorOf([2, 0.5], [1, 1])).to.be.closeTo(1, 1e-12);
    expect(errorOf([3], [3])).to.equal(0);
  });

  it('regrets the choices that were not best', () => {
    const [problem] = tinyProblems();
    const points = [1e-5, 1.5e-5].map((seconds, i): Point => ({ problem: problem!, operation: 'backward', choice: String(i), seconds }));
    expect(regretOf(points, [1, 2])).to.equal(0);
    expect(regretOf(points, [2, 1])).to.be.closeTo(0.5, 1e-12);
  });

  it('reads the row of a compute capability, or the one before it', () => {
    expect(constantsIn(TABLE, 9, 0).clusterMeeting).to.be.greaterThan(0);
    expect(constantsIn(TABLE, 8, 9)).to.deep.equal(constantsIn(TABLE, 8, 6));
    expect(constantsIn(TABLE, 7, 0)).to.deep.equal(constantsIn(TABLE, 7, 5));
    expect(() => constantsIn('', 9, 0)).to.throw('found none');
  });

  it('writes a row in place of the one there was, and a new one in its order', () => {
    const changed = withRow(TABLE, 9, 0, { ...start, piece: 4.25e-6 }, 'NVIDIA H200, measured 2026-11-23');
    expect(constantsIn(changed, 9, 0)).to.deep.equal({ ...start, piece: 4.25e-6 });
    expect(rowsIn(changed)).to.have.length(rowsIn(TABLE).length);
    expect(rowsIn(changed).filter((row) => !rowsIn(TABLE).includes(row))).to.have.length(1);
    const longer = withRow(TABLE, 8, 9, start, 'another');
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
    for (const wrong of [['--batches', '0'], ['--fast'], ['--rehearse', '--write'], ['--rehearse', '--from', 'x.json']]) {
      expect(() => parseOptions(wrong), wrong.join(' ')).to.throw(UsageError);
    }
    const { status, stderr } = run('--fast');
    expect(status).to.equal(2);
    expect(stderr).to.include('npm run tune:gpu -- --help');
  });
});

describeEmulated('tuning on an emulated GPU', function () {
  this.timeout(120_000);
  after(() => nativeDevice(device).native.force(''));

  it('forces launches that differ, of all kinds of teams', () => {
    const { native } = nativeDevice(device);
    const problem = { network: '', shape: [32, 64, 56, 56], layout: 'channels first', dtype: 'float32' } as const;
    const choices = choicesFor(native, problem, 'backward');
    expect(new Set(choices)).to.have.property('size', choices.length);
    for (const choice of choices) expect(choice).to.match(/^team=\w+,blocks=\d+,threads=\d+,shared=\d+$/);
    for (const team of ['block', 'cluster', 'grid'])
      expect(
        choices.some((choice) => choice.includes(`team=${team}`)),
        team,
      ).to.equal(true);
  });

  it('finds constants for times that the plan itself predicted', () => {
    const [problem] = tinyProblems();
    const choices = ['team=block,threads=128', 'team=cluster,blocks=2,threads=128', 'team=grid,threads=128'];
    const shapes = [
      [32, 64, 56, 56],
      [32, 256, 14, 14],
      [256, 64, 112, 112],
    ];
    const unmeasured = shapes.flatMap((shape) =>
      choices.map((choice): Point => ({ problem: { ...problem!, shape }, operation: 'trainingForward', choice, seconds: 0 })),
    );
    const before = constantsIn(TABLE, ...capabilityOf(device));
    const truth = { ...before, launch: before.launch * 2, gridMeeting: before.gridMeeting * 3, bandwidth: before.bandwidth * 0.8 };
    const seconds = modelOf(device, unmeasured)(truth);
    const points = unmeasured.map((point, i) => ({ ...point, seconds: seconds[i]! }));
    const tuned = tune(device, points, before);
    expect(tuned.error.before).to.be.greaterThan(0.2);
    expect(tuned.error.after).to.be.lessThan(tuned.error.before / 4);
    expect(inWords(tuned))
      .to.match(/predictions are off by +\d/)
      .and.match(/\{9, 0, .*measured/);
  });

  it('is refused, and rehearsed: everything runs, and no time is shown', () => {
    const refused = run();
    expect(refused.status).to.equal(1);
    expect(refused.stderr).to.include('no benchmark takes its times');
    const { status, stdout } = run('--rehearse');
    expect(stdout).to.match(/^Rehearsed on Emulated .*: \d+ points; no times are shown and nothing is written\n$/);
    expect(status).to.equal(0);
  });
});
