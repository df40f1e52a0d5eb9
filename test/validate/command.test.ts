import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { fits } from '../../lib/cli/pattern';
import { validate } from '../../lib/cli/validate';
import { builtInCases } from '../../lib/cli/validate/cases';
import { parseOptions, reproduction } from '../../lib/cli/validate/options';
import { subjectsOn } from '../../lib/cli/validate/subject';
import { describeFailures, describe as describeText, forPrograms } from '../../lib/cli/validate/text';
import { BatchNormError } from '../../lib/index';
import { cudaBatchnorm, temporaryFolder } from '../demo/helpers';
import { device } from '../helpers/device';
import { settle } from '../helpers/garbage';
import { cudnnLike } from './subjects';

describe('the validate command', () => {
  const path = temporaryFolder();

  it('is among the commands, and describes its options and its tolerances', () => {
    expect(cudaBatchnorm('--help').stdout).to.contain('validate');
    const { status, stdout } = cudaBatchnorm('validate', '--help');
    expect(status).to.equal(0);
    for (const option of ['quick', 'shapes', 'only', 'seed', 'device', 'report', 'json']) expect(stdout).to.contain(`--${option}`);
    expect(stdout).to.contain('Tolerances are derived from the arithmetic');
  });

  it('has defaults, and takes what is given', () => {
    const none = { quick: false, shapes: undefined, only: undefined, seed: 1, device: 'auto', report: undefined, json: false };
    expect(parseOptions([])).to.deep.equal(none);
    expect(parseOptions(['--seed', '0', '--device', 'cuda:1', '--json', '--only', 'x'])).to.deep.equal({
      ...none,
      seed: 0,
      device: 'cuda:1',
      json: true,
      only: 'x',
    });
    expect(parseOptions(['-h'])).to.equal(undefined);
  });

  const wrong: [args: string[], message: string][] = [
    [['--fast'], "Unknown option '--fast'"],
    [['inference'], "'inference'"],
    [['--seed', '-1'], '--seed'],
    [['--seed', '1.5'], "expected an integer from 0 to 2^32 - 1 for --seed but received '1.5'"],
    [['--seed', ''], "for --seed but received ''"],
    [['--seed', '4294967296'], "for --seed but received '4294967296'"],
    [['--device', 'gpu'], "expected auto, cpu, cuda or cuda:N for --device but received 'gpu'"],
    [['--only', 'float16'], "no problem is called 'float16'; for a part of the name write '*float16*'. A name: training/float32/"],
    [['--only', '*/float8/*'], "no problem is called '*/float8/*'. A name: training/float32/"],
    [['--shapes', '/none.json'], "cannot read '/none.json'"],
    [['--shapes', __filename], 'expected JSON'],
  ];
  for (const [args, message] of wrong) {
    it(`refuses '${args.map((arg) => arg.replace(__dirname, '')).join(' ')}' with status 2 and a way out`, () => {
      const { status, stdout, stderr } = cudaBatchnorm('validate', ...args);
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.contain(message).and.to.contain("Try 'cuda-batchnorm validate --help'.");
    });
  }

  it('says why a device is not there', () => {
    const { status, stderr } = cudaBatchnorm('validate', '--device', 'cuda:99');
    expect(status).to.equal(1);
    expect(stderr).to.match(/^cuda-batchnorm: .*cuda:99/);
  });

  it('chooses problems by name, whole or with *', () => {
    const names = builtInCases(true).map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^[\w./+-]+$/); // a shell leaves it alone
    const one = names[100]!;
    expect(names.filter((name) => fits(name, one))).to.deep.equal([one]);
    expect(names.filter((name) => fits(name, '*/float16/*'))).to.deep.equal(names.filter((name) => name.includes('/float16/')));
    expect(fits('a+b', 'a.b')).to.equal(false);
  });

  it('prints a table for people, and progress as lines where there is no terminal', () => {
    const only = ['--quick', '--device', 'cpu', '--only', 'training/float32/*/ordinary'];
    const { status, stdout, stderr } = cudaBatchnorm('validate', ...only);
    expect(status).to.equal(0);
    expect(stderr).to.match(/\d+ of \d+ problems, 0 failed\n/);
    expect(stdout).to.match(/^\n\d+ problems, seed 1, [\d.]+ s\n {2}cpu native +\d+ passed +\S/);
    expect(stdout).to.match(/running variance +float32 +\d+ +\S+ +\S+ +\S+ +0\.\d\d +pass +training\/float32\/\S+\n/);
    expect(stdout).to.match(/All passed\.\n$/);
  });

  it('runs the shapes of a file, and the command it names for a problem runs that problem', () => {
    writeFileSync(path('shapes of mine.json'), '[[3,4,5],[6,7],[5000,5000]]');
    const options = parseOptions(['--shapes', path('shapes of mine.json'), '--seed', '3', '--quick'])!;
    const command = reproduction(options, 'backward/float32/2d-6x7/relu+residual/ordinary');
    expect(command).to.match(/^npx cuda-batchnorm validate --quick --shapes '.*shapes of mine\.json' --seed 3 --only backward\/\S+$/);
    const args = ['validate', '--quick', '--shapes', path('shapes of mine.json'), '--device', 'cpu', '--seed', '3', '--json'];
    const all = JSON.parse(cudaBatchnorm(...args).stdout);
    expect(all.cases).to.have.length(8);
    expect(all.leftOut).to.deep.equal(['[5000, 5000] has more than 16777216 elements']);
    expect(all.passed).to.equal(true);
    const alone = JSON.parse(cudaBatchnorm(...args, '--only', all.cases[5].name).stdout);
    expect(alone.cases).to.deep.equal([all.cases[5]]);
  });

  it('is written by the command, to a folder that need not be there', () => {
    const file = path('new/folder/report.html');
    const { status, stdout } = cudaBatchnorm('validate', '--quick', '--device', 'cpu', '--only', 'training/float32/*', '--report', file);
    expect(status).to.equal(0);
    expect(stdout).to.contain(`Report: ${file}`);
    expect(readFileSync(file, 'utf8'))
      .to.match(/^<!doctype html>/)
      .and.to.not.match(/NaN|undefined|\[object/);
  });

  it('has told its results when the report fails in the end', () => {
    symlinkSync(path('nowhere/report.html'), path('broken.html')); // which shows only when it is written
    const { status, stdout, stderr } = cudaBatchnorm(
      ...['validate', '--quick', '--device', 'cpu', '--only', 'training/float32/*', '--json', '--report', path('broken.html')],
    );
    expect(status).to.equal(1);
    expect(stderr).to.contain('ENOENT');
    expect(JSON.parse(stdout).passed).to.equal(true);
  });

  it('says at once where the report cannot be written', () => {
    for (const file of ['/proc/none/report.html', join(__filename, 'report.html'), __dirname]) {
      const { status, stdout, stderr } = cudaBatchnorm('validate', '--quick', '--device', 'cpu', '--report', file);
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.include(`cuda-batchnorm: the file of --report, '${file}', cannot be written: `);
    }
  });

  describe('where cuDNN works', () => {
    const native = subjectsOn([device]).slice(0, 1);
    const options = parseOptions(['--quick', '--json', '--only', '*/float32/2d-*'])!;

    it('compares ours with it, and shows the differences', async () => {
      const found = await validate(options, [...native, cudnnLike((results) => results)]);
      expect(found.summary.failures).to.deep.equal([]);
      expect(found.summary.differences.map(({ quantity }) => quantity)).to.include.members(['output', 'running mean', 'dx', 'dγ', 'dβ']);
      for (const { absolute } of found.summary.differences) expect(absolute).to.equal(0);
      expect(describeText(found)).to.contain('greatest differences on the same inputs');
    });

    it('tells where it is beyond our tolerances, which is no failure', async () => {
      const off = cudnnLike(({ output, ...rest }) => ({ ...rest, ...(output && { output: Float32Array.from(output, (v) => v + 0.5) }) }));
      const { summary, ...rest } = await validate(options, [...native, off]);
      expect(summary.failures).to.deep.equal([]);
      const outputs = summary.cases / 2;
      expect(summary.deviations).to.have.length(outputs);
      expect(summary.verdicts[off.name]).to.deep.include({ deviates: outputs, pass: summary.cases - outputs });
      expect(summary.differences.find(({ quantity }) => quantity === 'output')!.absolute).to.be.closeTo(0.5, 1e-6);
      expect(describeText({ summary, ...rest })).to.contain(`${outputs} beyond our tolerance`);
      expect(JSON.parse(forPrograms({ summary, ...rest })).passed).to.equal(true);
    });

    it('lists what it does not support, which is no failure, and fails for any other error', async () => {
      const refusing = cudnnLike(() => {
        throw new BatchNormError('ERR_CUDNN', 'Expected another problem for backend cudnn, which has no algorithm for this');
      });
      const found = await validate(options, [...native, refusing]);
      expect(found.summary.failures).to.deep.equal([]);
      expect(found.summary.unsupported).to.have.length(1);
      expect(found.summary.unsupported[0]!.cases).to.have.length(found.summary.cases);
      expect(describeText(found))
        .to.contain('cuDNN does not support:')
        .and.to.contain('Expected another problem for backend cudnn, which has no algorithm for this');

      const lost = cudnnLike(() => {
        throw new BatchNormError('ERR_CUDA', 'the device is lost');
      });
      const broken = await validate(options, [...native, lost]);
      expect(broken.summary.failures).to.have.length(broken.summary.cases);
      expect(describeFailures(broken)).to.contain(`on ${lost.name}: the device is lost`);
    });
  });

  it('leaves no memory behind', async () => {
    await settle();
    const before = device.memory().live;
    await validate(parseOptions(['--quick', '--json', '--only', '*/2d-*'])!, subjectsOn([device]));
    await settle();
    expect(device.memory().live).to.equal(before);
  });
});
