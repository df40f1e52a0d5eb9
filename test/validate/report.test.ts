/** The page of `validate --report` as a reader sees it: in a browser, offline. */

import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { type Validation, validate } from '../../lib/cli/validate';
import { parseOptions } from '../../lib/cli/validate/options';
import { makeReport } from '../../lib/cli/validate/report';
import type { Results, Subject } from '../../lib/cli/validate/subject';
import { subjectsOn } from '../../lib/cli/validate/subject';
import { forPrograms } from '../../lib/cli/validate/text';
import { BatchNormError } from '../../lib/index';
import { temporaryFolder } from '../demo/helpers';
import { backgroundOf, boxesOf, overflowOf, useBrowser } from '../helpers/browser';
import { device } from '../helpers/device';
import { cudnnLike } from './subjects';

const options = parseOptions(['--quick', '--json', '--only', '*/ordinary'])!;
const native = subjectsOn([device]).slice(0, 1);

/** Refuses to train on one shape, and is off by a part in a thousand elsewhere. */
const cudnn = cudnnLike((results) => {
  if (results['running mean'] && results.output?.length === 640)
    throw new BatchNormError('ERR_CUDNN', 'Expected less for backend cudnn, which has no <algorithm> for 640 values');
  return Object.fromEntries(Object.entries(results).map(([name, values]) => [name, Float64Array.from(values, (v) => v * 1.001)]));
});

/** Ours, with one gradient spoilt. */
const broken: Subject = {
  ...native[0]!,
  run: async (problem, inputs) => {
    const results: Results = await native[0]!.run(problem, inputs);
    return results.dx && problem.dtype === 'float32' ? { ...results, dx: Float64Array.from(results.dx, (v) => v + 1) } : results;
  },
};

describe('the validation report', function () {
  this.timeout(120_000);
  const path = temporaryFolder();
  const open = useBrowser();
  const found: Record<string, Validation> = {};

  before(async () => {
    found.alone = await validate(options, native);
    found.compared = await validate(options, [...native, cudnn]);
    found.broken = await validate(options, [broken]);
    for (const [name, validation] of Object.entries(found)) writeFileSync(path(`${name}.html`), makeReport(validation));
  });

  for (const name of ['alone', 'compared', 'broken']) {
    for (const scheme of ['light', 'dark'] as const) {
      for (const width of [360, 1200]) {
        it(`${name}: everything is drawn, nothing sticks out or is asked for, in ${scheme} colours, ${width} pixels wide`, async () => {
          const { page, complaints } = await open(path(`${name}.html`), { scheme, width });
          const plots = await boxesOf(page, 'svg.plot');
          expect(plots).to.have.length(8); // seven quantities, and what is left between them
          for (const box of [...plots, ...(await boxesOf(page, 'svg.plot path.dots'))]) {
            expect(box.width).to.be.greaterThan(2);
            expect(box.height).to.be.greaterThan(2);
          }
          const maps = await boxesOf(page, 'table.heat');
          expect(maps).to.have.length(name === 'compared' ? 4 : 2);
          for (const box of maps) expect(box.width * box.height).to.be.greaterThan(10_000);
          expect(await overflowOf(page)).to.equal(0);
          expect(await backgroundOf(page)).to.equal(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 28)');
          expect(complaints).to.deep.equal([]);
          await page.context().close();
        });
      }
    }
  }

  it('shows the numbers of the JSON', async () => {
    const { page } = await open(path('compared.html'), { scheme: 'light', width: 1200 });
    const json = JSON.parse(forPrograms(found.compared!));
    const ours = json.summary.rows.filter(({ subject }: { subject: string }) => subject === native[0]!.name);
    const shown = await page
      .locator(`table:has(caption:text-is("${native[0]!.name}: greatest errors against float64")) tbody tr`)
      .allInnerTexts();
    expect(shown).to.have.length(ours.length);
    for (const [index, row] of ours.entries()) {
      expect(shown[index]!.split('\t').map((cell) => cell.trim())).to.include.members([
        row.quantity,
        row.dtype,
        String(row.cases),
        row.absolute.toExponential(1),
        row.share.toFixed(2),
        row.worst,
      ]);
    }
    // The heat map's cell is the greatest share of its group.
    const cell = await page.locator('table.heat').first().locator('tr:has(th:text-is("training: output")) td').first().innerText();
    const shares = json.cases
      .filter(({ name }: { name: string }) => name.startsWith('training/float32/'))
      .map(({ outcomes }: { outcomes: { measured: { quantity: string; worst: { share: number } }[] }[] }) => {
        return outcomes[0]!.measured.find(({ quantity }) => quantity === 'output')!.worst.share;
      });
    expect(cell).to.equal(Math.max(...shares).toFixed(2));
    await page.context().close();
  });

  it('tells what cuDNN refused, and that what it is off by is no failure', async () => {
    const { page } = await open(path('compared.html'), { scheme: 'light', width: 1200 });
    const text = await page.locator('main').innerText();
    expect(text).to.contain('All results of ours are within their tolerances');
    expect(text).to.match(/\d+ problems, such as training\/\S+: Expected less for backend cudnn, which has no <algorithm> for 640 values/);
    expect(text).to.contain('that is no failure');
    expect(text).to.contain(`${native[0]!.name} and ${cudnn.name}: greatest differences on the same inputs`);
    expect(await page.locator('svg.plot .title').first().textContent()).to.equal(`output: ${native[0]!.name} against ${cudnn.name}`);
    await page.context().close();
  });

  it('says that there was no cuDNN to compare with, and why', async () => {
    const { page } = await open(path('alone.html'), { scheme: 'dark', width: 1200 });
    const text = await page.locator('main').innerText();
    for (const { name, reason } of found.alone!.notCompared) expect(text).to.contain(name).and.to.contain(reason);
    expect(text).to.contain('against the float64 reference (no cuDNN was compared on this device)');
    await page.context().close();
  });

  it('shows a failure first, in another colour, with the command that repeats it', async () => {
    const { page } = await open(path('broken.html'), { scheme: 'light', width: 1200 });
    const { failures, cases } = found.broken!.summary;
    expect(failures).to.have.length.within(20, cases / 2);
    const text = await page.locator('main').innerText();
    expect(text).to.contain(`${failures.length} results FAILED`);
    expect(text).to.contain(`npx cuda-batchnorm validate --quick --seed 1 --only ${failures[0]!.case}`);
    const beyond = page.locator('table.heat').first().locator('td.beyond');
    expect(await beyond.count()).to.equal(2); // dx of either backward, in float32
    expect(await backgroundOf(page, 'td.beyond')).to.not.equal(await backgroundOf(page, 'td.heat1'));
    await page.context().close();
  });
});
