/** The whole lab, quickly, on digits drawn here and on real ones; and what it writes, in a browser. */

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { experiments } from '../../lib/lab';
import { cudaBatchnorm, temporaryFolder } from '../demo/helpers';
import { boxesOf, overflowOf, useBrowser } from '../helpers/browser';
import { skip } from '../helpers/shared';

interface Found {
  name: string;
  verdict: string;
  sentence: string;
  numbers: { name: string; value: number | string }[];
  plots: unknown[];
  seconds: number;
}

const OPTDIGITS = resolve(__dirname, '../../../shared/data/optdigits/optdigits.tra');

/** Runs all experiments, and prints what they find. */
function run(...more: string[]): Found[] {
  const started = performance.now();
  const { status, stdout, stderr } = cudaBatchnorm('lab', '--quick', '--device', 'cpu', '--json', ...more);
  expect(status, stderr).to.equal(0);
  const { experiments: found } = JSON.parse(stdout) as { experiments: Found[] };
  const slowest = [...found].sort((one, other) => other.seconds - one.seconds)[0]!;
  const seconds = (performance.now() - started) / 1000;
  console.log(`      lab --quick: ${seconds.toFixed(0)} s, of which ${slowest.name} ${slowest.seconds.toFixed(0)} s`);
  for (const { name, verdict, numbers } of found)
    console.log(`        ${name.padEnd(18)} ${verdict.padEnd(10)} ${numbers[0]!.value} ${numbers[0]!.name}`);
  return found;
}

function expectWhole(found: readonly Found[]): void {
  expect(found.map(({ name }) => name)).to.deep.equal(experiments.map(({ name }) => name));
  for (const { name, verdict, sentence, numbers, plots } of found) {
    expect(verdict, name).to.be.oneOf(['shown', 'not shown']);
    expect(sentence, name)
      .to.match(/^[A-Z].*\.$/)
      .and.to.not.match(/NaN|undefined|null/);
    expect(numbers[0]!.value, name).to.satisfy((value: unknown) => typeof value === 'number' || value === 'Infinity');
    expect(plots, name).to.not.be.empty;
  }
}

describe('the whole lab', function () {
  this.timeout(6 * 60_000);
  const path = temporaryFolder();
  let found: Found[];

  before(() => {
    found = run('--report', path('lab.html'));
  });

  it('has a verdict, a number, a sentence and a plot for every experiment', () => expectWhole(found));

  it('does so on real digits too', function () {
    if (!existsSync(OPTDIGITS)) skip(this, `there is no ${OPTDIGITS}`);
    expectWhole(run('--data', OPTDIGITS));
  });

  describe('in a browser', () => {
    const open = useBrowser();
    for (const [scheme, width] of [
      ['light', 1280],
      ['dark', 400],
    ] as const) {
      it(`shows a plot and a verdict for every experiment, ${scheme}, ${width} wide`, async () => {
        const { page, complaints } = await open(path('lab.html'), { scheme, width });
        for (const { name, verdict, sentence } of found) {
          const words = await page.locator(`#${name} .verdict`).innerText();
          expect(words.toLowerCase()).to.match(new RegExp(`^${verdict}\\.`));
          expect(words).to.contain(sentence);
          const boxes = await boxesOf(page, `#${name} svg.plot`);
          expect(boxes.length, name).to.be.greaterThan(0);
          for (const box of boxes) expect(Math.min(box.width, box.height), name).to.be.greaterThan(100);
          const marks = await page.locator(`#${name} svg.plot svg path.line, #${name} svg.plot svg rect`).count();
          expect(marks, name).to.be.greaterThan(1);
        }
        expect(await overflowOf(page)).to.be.at.most(0);
        expect(complaints).to.deep.equal([]);
      });
    }
  });
});
