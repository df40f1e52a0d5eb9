import { expect } from 'chai';
import { parseCsv } from '../../lib/datasets/csv';
import { split } from '../../lib/datasets/dataset';
import { renderDigits } from '../../lib/datasets/digits';
import { Random } from '../../lib/random';

describe('datasets', () => {
  describe('rendered digits', () => {
    it('repeat from the seed', () => {
      expect(renderDigits(20, new Random(1))).to.deep.equal(renderDigits(20, new Random(1)));
      expect(renderDigits(20, new Random(1)).features).to.not.deep.equal(renderDigits(20, new Random(2)).features);
    });

    it('are grey values from 0 to 1, the ten digits in turn, no two alike', () => {
      const { features, labels, count, width } = renderDigits(40, new Random(3));
      expect([count, width, features.length]).to.deep.equal([40, 144, 40 * 144]);
      expect(features.every((value) => value >= 0 && value <= 1)).to.equal(true);
      expect([...labels.slice(10, 20)]).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      const pictures = Array.from({ length: count }, (_, row) => features.slice(row * width, (row + 1) * width).join());
      expect(new Set(pictures).size).to.equal(count);
    });

    it('look like what they are called: the nearest mean picture is mostly the right one', () => {
      const train = renderDigits(1000, new Random(4));
      const test = renderDigits(200, new Random(5));
      const means = Array.from({ length: 10 }, () => new Float64Array(144));
      train.features.forEach((value, index) => {
        means[train.labels[Math.floor(index / 144)]!]![index % 144]! += value / 100;
      });
      const distance = (row: number, digit: number) =>
        means[digit]!.reduce((sum, mean, i) => sum + (mean - test.features[row * 144 + i]!) ** 2, 0);
      const nearest = (row: number) =>
        means.map((_, digit) => distance(row, digit)).reduce((best, value, digit, all) => (value < all[best]! ? digit : best), 0);
      const right = [...test.labels].filter((label, row) => nearest(row) === label).length;
      expect(right / test.count).to.be.greaterThan(0.5);
    });
  });

  describe('comma-separated values', () => {
    it('are rows of numbers with the class last, names on top or not', () => {
      const wanted = { features: Float32Array.of(1, 2.5, -3, 4), labels: Uint8Array.of(0, 7), count: 2, width: 2 };
      expect(parseCsv('a,b,class\n1,2.5,0\n-3,4,7\n', 'x.csv')).to.deep.equal(wanted);
      expect(parseCsv('1,2.5,0\r\n-3,4,7', 'x.csv')).to.deep.equal(wanted);
    });

    const bad: [what: string, text: string, message: string][] = [
      ['a word', 'a,b,class\n1,2,0\n1,two,0', "x.csv, line 3: expected a number in column 2 but found 'two'"],
      ['a gap', '1,2,0\n1,,0', "x.csv, line 2: expected a number in column 2 but found ''"],
      ['an infinity', '1,2,0\n1,Infinity,0', "x.csv, line 2: expected a number in column 2 but found 'Infinity'"],
      [
        'more than float32 can hold',
        '1,2,0\n1,1e39,0',
        "x.csv, line 2: expected a number within the range of float32 in column 2 but found '1e39'",
      ],
      [
        'less than that',
        '1,2,0\n-3.5e38,2,0',
        "x.csv, line 2: expected a number within the range of float32 in column 1 but found '-3.5e38'",
      ],
      ['a short row', '1,2,0\n\n1,0', 'x.csv, line 3: expected 3 values but found 2'],
      ['a long row', 'a,b,class\n1,2,3,0', 'x.csv, line 2: expected 3 values but found 4'],
      ['half a class', '1,2,0\n1,2,0.5', 'x.csv, line 2: expected a class from 0 to 255 in the last column but found 0.5'],
      ['a negative class', '1,2,-1', 'x.csv, line 1: expected a class from 0 to 255 in the last column but found -1'],
      ['no row', 'a,b,class\n', 'x.csv: expected rows of numbers with the class last but found none'],
      ['nothing', '', 'x.csv: expected rows of numbers with the class last but found none'],
      ['one column', 'class\n1', 'x.csv, line 2: expected values and a class'],
    ];
    for (const [what, text, message] of bad) {
      it(`are refused with ${what}`, () => {
        expect(() => parseCsv(text, 'x.csv')).to.throw(message);
      });
    }
  });

  it('is split without loss, a fifth for testing', () => {
    const whole = renderDigits(50, new Random(6));
    const { train, test } = split(whole, new Random(7));
    expect([train.count, test.count]).to.deep.equal([40, 10]);
    const rows = ({ features, labels, count }: typeof whole) =>
      Array.from({ length: count }, (_, row) => `${labels[row]} ${features.slice(row * 144, (row + 1) * 144).join()}`);
    expect([...rows(train), ...rows(test)].sort()).to.deep.equal(rows(whole).sort());
  });
});
