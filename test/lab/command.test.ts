import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { parseOptions } from '../../lib/cli/lab/options';
import { prepareReport } from '../../lib/cli/report_file';
import { UsageError } from '../../lib/cli/usage';
import { experiments } from '../../lib/lab';
import { cudaBatchnorm, temporaryFolder } from '../demo/helpers';

/** Root may write everything; then somebody else does it. */
async function withoutPrivilege<T>(action: () => Promise<T>): Promise<T> {
  if (process.geteuid!() !== 0) return action();
  process.seteuid!(65534);
  try {
    return await action();
  } finally {
    process.seteuid!(0);
  }
}

async function refusalOf(report: string): Promise<string> {
  const error: unknown = await prepareReport(report).catch((thrown: unknown) => thrown);
  if (!(error instanceof UsageError)) return expect.fail(`'${report}' was not refused`);
  return error.message;
}

const CHEAP = ['statistics', 'gradients'];

describe('the lab command', () => {
  const path = temporaryFolder();

  it('is among the commands, and describes its options and its experiments', () => {
    expect(cudaBatchnorm('--help').stdout).to.contain('lab');
    const { status, stdout } = cudaBatchnorm('lab', '--help');
    expect(status).to.equal(0);
    for (const option of ['quick', 'only', 'seed', 'data', 'device', 'report', 'json']) expect(stdout).to.contain(`--${option}`);
    for (const { name, claim } of experiments) expect(stdout).to.contain(name).and.to.contain(claim);
  });

  it('chooses experiments by name and by pattern, and keeps their order', () => {
    const names = (only: string) => parseOptions(['--only', only])!.chosen.map(({ name }) => name);
    expect(names('gradients,statistics')).to.deep.equal(CHEAP);
    expect(names('*-rate')).to.deep.equal(['learning-rate']);
    expect(parseOptions([])!.chosen).to.deep.equal([...experiments]);
    expect(parseOptions(['-h'])).to.equal(undefined);
  });

  const wrong: [args: string[], message: string][] = [
    [['--fast'], "Unknown option '--fast'"],
    [['statistics'], "'statistics'"],
    [['--seed', '-1'], '--seed'],
    [['--seed', '1.5'], "expected an integer from 0 to 2^32 - 1 for --seed but received '1.5'"],
    [['--device', 'gpu'], "expected auto, cpu, cuda or cuda:N for --device but received 'gpu'"],
    [['--only', 'luck'], "no experiment is called 'luck'; there are: statistics, "],
    [['--only', 'statistics,'], "no experiment is called ''"],
  ];
  for (const [args, message] of wrong) {
    it(`refuses '${args.join(' ')}' with status 2 and a way out`, () => {
      const { status, stdout, stderr } = cudaBatchnorm('lab', ...args);
      expect(status).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.contain(message).and.to.contain("Try 'cuda-batchnorm lab --help'.");
    });
  }

  it('names the line of a malformed file, with status 1', () => {
    writeFileSync(path('bad.csv'), `${new Array(65).fill(0).join(',')}\n1,2,x\n`);
    const { status, stderr } = cudaBatchnorm('lab', '--quick', '--data', path('bad.csv'));
    expect(status).to.equal(1);
    expect(stderr).to.contain('bad.csv, line 2: expected 65 values but found 3');
  });

  it('tells each verdict with its number, and writes a page with a plot and a verdict for each', () => {
    const report = path('reports/lab.html');
    const { status, stdout, stderr } = cudaBatchnorm('lab', '--quick', '--only', CHEAP.join(), '--device', 'cpu', '--report', report);
    expect(status, stderr).to.equal(0);
    for (const name of CHEAP) expect(stdout).to.match(new RegExp(`^${name} +(not )?shown +\\S`, 'm'));
    expect(stdout)
      .to.match(/\d of 2 shown, seed 1/)
      .and.to.contain(report);
    expect(stderr).to.contain('1 of 2: ').and.to.contain('2 of 2: ');
    const html = readFileSync(report, 'utf8');
    for (const name of CHEAP) expect(html).to.match(new RegExp(`<div id="${name}"[^]*?class="verdict"><strong>(S|Not s)hown\\.[^]*?<svg`));
  });

  it('gives the same numbers from the same seed, and others from another', () => {
    const numbers = (seed: number) => {
      const { status, stdout, stderr } = cudaBatchnorm(
        'lab',
        '--quick',
        '--only',
        CHEAP[0]!,
        '--seed',
        String(seed),
        '--device',
        'cpu',
        '--json',
      );
      expect(status, stderr).to.equal(0);
      expect(stderr).to.equal('');
      const { experiments: found } = JSON.parse(stdout) as { experiments: Record<string, unknown>[] };
      return found.map(({ seconds, ...rest }) => {
        expect(seconds).to.be.a('number');
        return rest;
      });
    };
    const first = numbers(5);
    expect(first.map(({ name }) => name)).to.deep.equal(CHEAP.slice(0, 1));
    for (const { verdict, plots } of first) {
      expect(verdict).to.match(/^(not )?shown$/);
      expect(plots).to.be.an('array').and.to.not.be.empty;
    }
    expect(numbers(5)).to.deep.equal(first);
    expect(numbers(6)).to.not.deep.equal(first);
  });

  it('writes what is wrong with a report before it starts', () => {
    const { status, stderr } = cudaBatchnorm('lab', '--quick', '--report', '/proc/none/lab.html');
    expect(status).to.equal(2);
    expect(stderr).to.contain("the file of --report, '/proc/none/lab.html', cannot be written");
  });

  it('finds out before it starts that a report that is there may not be written, and leaves it as it is', async () => {
    const report = path('old.html');
    writeFileSync(report, 'old', { mode: 0o444 });
    chmodSync(path('.'), 0o755);
    expect(await withoutPrivilege(() => refusalOf(report))).to.contain(`'${report}', cannot be written: EACCES`);
    expect(await refusalOf('/dev/null')).to.contain("'/dev/null', cannot be written: it is no ordinary file");
    expect(await refusalOf(path('.'))).to.contain('it is no ordinary file');
    chmodSync(report, 0o644);
    await prepareReport(report);
    expect(readFileSync(report, 'utf8')).to.equal('old');
    await prepareReport(path('new.html'));
    expect(existsSync(path('new.html'))).to.equal(false);
  });

  it('has told its results when the report fails in the end', () => {
    symlinkSync(path('nowhere/lab.html'), path('broken.html')); // which shows only when it is written
    const { status, stdout, stderr } = cudaBatchnorm(
      ...['lab', '--quick', '--only', CHEAP[0]!, '--device', 'cpu', '--json', '--report', path('broken.html')],
    );
    expect(status).to.equal(1);
    expect(stderr).to.contain('ENOENT');
    expect(JSON.parse(stdout).experiments).to.have.length(1);
  });
});
