/** What `cuda-batchnorm validate` finds on the tested device: nothing where all is well, and each result that is broken on purpose. */

import { expect } from 'chai';
import { device, emulated } from '../helpers/device';
import { type Json, validate } from './run';

const SUBJECT = `${device.name} native`;

describe('validate', function () {
  this.timeout(emulated ? 180_000 : 60_000);

  it('passes with --quick, every quantity measured', () => {
    const { status, stdout, stderr } = validate(['--quick', '--json']);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    const { passed, summary, subjects } = JSON.parse(stdout) as Json;
    expect(passed).to.equal(true);
    expect(subjects).to.include(SUBJECT);
    expect(summary.cases).to.be.greaterThan(500);
    const ours = summary.rows.filter(({ subject }) => subject === SUBJECT);
    const quantities = new Set(ours.map(({ quantity }) => quantity));
    expect([...quantities]).to.deep.equal(['output', 'running mean', 'running variance', 'dx', 'dγ', 'dβ', 'dresidual']);
    for (const { share } of ours) expect(share).to.be.within(0, 1);
    expect(Math.max(...ours.map(({ absolute }) => absolute))).to.be.greaterThan(0);
  });

  /** What is broken, where that shows, and as which quantities. */
  const sabotages: [what: string, shows: (problem: Json['cases'][number]) => boolean, quantities: string[]][] = [
    ['statistics', ({ operation }) => operation === 'backward', ['dx', 'dγ', 'dβ', 'dresidual']],
    ['transform', ({ operation }) => operation === 'training', ['output']],
    ['inference transform', ({ operation }) => operation === 'inference', ['output']],
    ['running update', ({ operation }) => operation === 'training', ['running mean']],
    ['dx', ({ operation }) => operation.startsWith('backward'), ['dx']],
    ['dγ', ({ operation }) => operation.startsWith('backward'), ['dγ']],
    ['residual mask', ({ operation, name }) => operation === 'backward' && /relu\+residual/i.test(name), ['dresidual', 'dx', 'dγ', 'dβ']],
  ];
  for (const [what, shows, quantities] of sabotages) {
    it(`fails with ${what} broken, and says where`, () => {
      // The data whose numbers are not of size 1 would hide a number of size 77.
      const { status, stdout, stderr } = validate(['--quick', '--json', '--only', '*/ordinary'], what);
      expect(status).to.equal(1);
      const { cases, summary, passed } = JSON.parse(stdout) as Json;
      expect(passed).to.equal(false);
      const ours = summary.failures.filter(({ subject }) => subject === SUBJECT);
      // Nothing else fails, and of those where it can show, most do: 16 bits of a mask may have been 0 before.
      const fitting = cases.filter(shows).map(({ name }) => name);
      expect(fitting).to.include.members(ours.map((failure) => failure.case));
      expect(ours.length).to.be.greaterThan(0.5 * fitting.length);
      for (const { what: words } of ours)
        expect(words).to.match(new RegExp(`(^|; )(${quantities.join('|')}) is \\S+ at element \\d+ but should be`));
      const named = new Set(ours.flatMap(({ what: words }) => words.split('; ').map((part) => part.slice(0, part.indexOf(' is ')))));
      expect(quantities).to.include.members([...named]);
      expect([...named]).to.include(quantities[0]);
      expect(stderr).to.contain(`FAILED ${ours[0]!.case} on ${SUBJECT}: ${ours[0]!.what}`);
      expect(stderr).to.contain(`again: ${ours[0]!.again}`);
    });
  }

  it('names a problem that throws, and runs the others', () => {
    const { status, stdout, stderr } = validate(['--quick', '--json', '--only', 'inference/*/ordinary'], 'exception');
    expect(status).to.equal(1);
    const { cases, summary } = JSON.parse(stdout) as Json;
    const broken = cases.filter(({ name }) => name.includes('/bfloat16/'));
    const ours = summary.failures.filter(({ subject }) => subject === SUBJECT);
    expect(ours.map((failure) => failure.case)).to.deep.equal(broken.map(({ name }) => name));
    for (const failure of ours) expect(failure.what).to.equal('sabotaged');
    for (const one of cases.filter((problem) => !broken.includes(problem))) expect(one.outcomes[0]!.verdict).to.equal('pass');
    expect(stderr).to.match(/and \d+ more; --json lists them all/);
  });

  it('repeats one problem from its name and seed, number by number', () => {
    const all = JSON.parse(validate(['--quick', '--json', '--seed', '7', '--only', '*/float16/*']).stdout) as Json;
    const again = JSON.parse(validate(['--quick', '--json', '--seed', '7', '--only', '*/float16/*']).stdout) as Json;
    expect(again.cases).to.deep.equal(all.cases);
    const some = all.cases[Math.floor(all.cases.length / 2)]!;
    const alone = JSON.parse(validate(['--quick', '--json', '--seed', '7', '--only', some.name]).stdout) as Json;
    expect(alone.cases).to.deep.equal([some]);
    const other = JSON.parse(validate(['--quick', '--json', '--seed', '8', '--only', some.name]).stdout) as Json;
    expect(other.cases[0]!.outcomes).to.not.deep.equal(some.outcomes);
  });

  it('says what could not be compared, and why', () => {
    const { notCompared } = JSON.parse(validate(['--quick', '--json', '--only', 'inference/float32/2d*']).stdout) as Json;
    for (const { reason } of notCompared) expect(reason).to.match(/\w+ \w+/);
  });
});
