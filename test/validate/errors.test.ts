import { expect } from 'chai';
import fc from 'fast-check';
import { errorsOf, worstOf } from '../../lib/validation/errors';
import { DTYPES, largest, lastPlace, round } from '../../lib/validation/number_format';
import { isWithin } from '../../lib/validation/tolerance';

const shareOf = (actual: number, expected: number, tolerance: number, dtype: (typeof DTYPES)[number]): number =>
  worstOf([actual], { expected: [expected], tolerance: [tolerance] }, dtype).share;

describe('errors', () => {
  it('are the greatest of each measure, and the element nearest to its limit', () => {
    const bound = { expected: [1, 100, 0], tolerance: [0.5, 0.01, 1] };
    const actual = [1.25, 100.125, 0.5];
    const { absolute, relative, ulp } = errorsOf(actual, bound.expected, 'float32');
    expect([absolute, relative]).to.deep.equal([0.5, 0.25]);
    expect(ulp).to.equal(0.5 / lastPlace(0, 'float32'));
    expect(worstOf(actual, bound, 'float32')).to.deep.include({ index: 1, actual: 100.125, expected: 100 });
    expect(worstOf(actual, bound, 'float32').share).to.be.closeTo(12.5, 0.01);
  });

  it('do not count the last rounding', () => {
    expect(shareOf(1, 1 + 2 ** -12, 1e-9, 'float16')).to.equal(0);
    expect(shareOf(1 + 2 ** -10, 1 + 2 ** -12, 2 ** -12, 'float16')).to.equal(1);
    expect(shareOf(1 + 2 ** -10, 1 + 2 ** -12, 2 ** -13, 'float16')).to.equal(2);
    // Below a power of two the numbers lie closer.
    expect(shareOf(1, 1 - 2 ** -12, 1e-9, 'float16')).to.equal(0);
    expect(shareOf(1, 1 - 2 ** -11, 2 ** -12, 'float16')).to.equal(1);
  });

  it('of infinities and NaN are none where the same is expected, and infinite elsewhere', () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      expect(shareOf(value, value, 1, 'float32')).to.equal(0);
      expect(errorsOf([value], [value], 'float32')).to.deep.equal({ absolute: 0, relative: 0, ulp: 0 });
      expect(shareOf(value, 3, 1, 'float32')).to.be.greaterThan(1);
      expect(shareOf(3, value, 1, 'float32')).to.equal(Infinity);
      expect(errorsOf([3], [value], 'float32').absolute).to.equal(Infinity);
      expect(errorsOf([value], [3], 'float32').ulp).to.equal(Infinity);
    }
    expect(shareOf(-Infinity, Infinity, 1, 'float32')).to.equal(Infinity);
    expect(shareOf(Infinity, largest('float16') + 17, 1, 'float16')).to.equal(0); // what rounds to infinity
    expect(shareOf(Infinity, largest('float16') - 1, 1, 'float16')).to.be.greaterThan(1);
  });

  it('are above the tolerance exactly where no value within it is stored so', () => {
    const number = fc.double({ min: -1e5, max: 1e5, noNaN: true });
    const tiny = fc.double({ min: 1e-9, max: 1, noNaN: true });
    const problem = fc.record({
      dtype: fc.constantFrom(...DTYPES),
      expected: number,
      tolerance: tiny,
      off: fc.double({ min: -3, max: 3, noNaN: true }),
    });
    fc.assert(
      fc.property(problem, ({ dtype, expected, tolerance, off }) => {
        const actual = round(expected + off * (tolerance + lastPlace(expected, dtype)), dtype);
        const share = shareOf(actual, expected, tolerance, dtype);
        fc.pre(Math.abs(share - 1) > 1e-6); // a tie: rounding to even decides
        expect(share <= 1).to.equal(isWithin(actual, expected, tolerance, dtype));
      }),
      { numRuns: 5000 },
    );
  });

  it('need as many values as are expected', () => {
    expect(() => errorsOf([1], [1, 2], 'float32')).to.throw('1 values came instead of 2');
    expect(() => worstOf([1, 2, 3], { expected: [1, 2], tolerance: [0, 0] }, 'float32')).to.throw('3 values came instead of 2');
  });
});
