import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { loadDigits } from '../../lib/lab/data';
import { temporaryFolder } from '../demo/helpers';

const row = (digit: number, value: number) => [...new Array(64).fill(value), digit].join(',');
const lines = (count: number) => Array.from({ length: count }, (_, index) => row(index % 10, index % 17));

describe('the digits of the lab', () => {
  const path = temporaryFolder();
  const load = (text: string, quick = true) => {
    writeFileSync(path('digits.csv'), text);
    return loadDigits({ data: path('digits.csv'), seed: 1, quick });
  };
  const refusal = (text: string) =>
    load(text).then(
      () => 'accepted',
      (error: Error) => error.message,
    );

  it('are drawn from the seed, 8 × 8, more of them for a full run', async () => {
    const quick = await loadDigits({ data: undefined, seed: 1, quick: true });
    expect(quick.train.width).to.equal(64);
    expect([quick.train.count, quick.test.count]).to.deep.equal([1000, 500]);
    expect(quick).to.deep.equal(await loadDigits({ data: undefined, seed: 1, quick: true }));
    expect(quick.train.features).to.not.deep.equal((await loadDigits({ data: undefined, seed: 2, quick: true })).train.features);
    expect((await loadDigits({ data: undefined, seed: 1, quick: false })).train.count).to.equal(4000);
  });

  for (const [what, top] of [
    ['with a line of names', [Array.from({ length: 65 }, (_, index) => `Block ${index}`).join(',')]],
    ['without', []],
  ] as const) {
    it(`are read from a file ${what}, from 0 to 16 scaled to 1, a fifth held back`, async () => {
      const { train, test, classes, source } = await load([...top, ...lines(600), ''].join('\n'));
      expect([train.count, test.count, train.width, classes]).to.deep.equal([480, 120, 64, 10]);
      expect(Math.max(...train.features, ...test.features)).to.equal(1);
      const count = (value: number) => [...train.features, ...test.features].filter((feature) => feature === value).length;
      expect(count(0.5)).to.equal(64 * lines(600).filter((line) => line.startsWith('8,')).length);
      expect(source).to.contain('digits.csv');
    });
  }

  const good = lines(600);
  const bad: [what: string, line: string, message: string][] = [
    ['a short line', '1,2,3', 'expected 65 values but found 3'],
    ['a long line', `${row(1, 1)},1`, 'expected 65 values but found 66'],
    ['a word', row(1, 1).replace('1', 'one'), "expected a number in column 1 but found 'one'"],
    ['a value above 16', row(1, 17), 'expected a value from 0 to 16 in column 1 but found 17'],
    ['a value below 0', row(1, -1), 'expected a value from 0 to 16 in column 1 but found -1'],
    ['a digit above 9', row(10, 1), 'expected a class from 0 to 9 in the last column but found 10'],
  ];
  for (const [what, line, message] of bad) {
    it(`are refused with ${what}, and the line is named`, async () => {
      expect(await refusal([...good.slice(0, 41), line, ...good].join('\n'))).to.contain(`digits.csv, line 42: ${message}`);
    });
  }

  it('are refused where they are few', async () => {
    expect(await refusal(lines(499).join('\n'))).to.contain('expected at least 500 rows but found 499');
  });

  it('are refused where there is no file', async () => {
    const error = await loadDigits({ data: path('none.csv'), seed: 1, quick: true }).catch((reason: Error) => reason);
    expect((error as Error).message)
      .to.contain('cannot read')
      .and.contain('none.csv');
  });
});
