import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { UsageError } from '../../lib/cli/usage';
import { casesOf } from '../../lib/cli/validate/cases';
import { parseShapes, readShapes } from '../../lib/cli/validate/shapes';
import { skip } from '../helpers/shared';

const BNORM_SHAPES = resolve(__dirname, '../../../shared/data/shapes/bnorm_shapes.json');

describe('a file of shapes', () => {
  it('is a list, or lists in named groups, of shapes or of entries with eps; each counts once', () => {
    const wanted = [
      { shape: [2, 3], eps: 1e-5 },
      { shape: [4, 5, 6], eps: 0.0625 },
    ];
    const entry = { shape_nc_spatial: [4, 5, 6], eps: 0.0625, name: 'x' };
    expect(parseShapes(JSON.stringify([[2, 3], entry, [2, 3]]), 'f').shapes).to.deep.equal(wanted);
    expect(parseShapes(JSON.stringify({ shapes: { one: [[2, 3]], two: { active: [entry], rest: [] } } }), 'f').shapes).to.deep.equal(
      wanted,
    );
  });

  const bad: [what: string, text: string, message: string][] = [
    ['what is no JSON', '[[2,3]', 'f: expected JSON'],
    ['nothing', '', 'f: expected JSON'],
    ['a number', '3', 'f: expected a list of shapes, or an object with "shapes", but found 3'],
    ['null', 'null', 'f: expected a list of shapes, or an object with "shapes", but found null'],
    ['an object without shapes', '{"a":1}', 'but found {"a":1}'],
    ['no shape', '[]', 'f: expected at least one shape but found none'],
    ['no shape in its groups', '{"shapes":{"a":[],"b":{}}}', 'f: expected at least one shape but found none'],
    ['a lone shape', '[2,3]', 'f[0]: expected a shape such as [32, 64, 56, 56] but found 2'],
    ['one size', '[[2]]', 'f[0]: expected batch, channels and maybe more but found [2]'],
    ['a size of zero', '[[2,3],[2,0]]', 'f[1][1]: expected a positive integer but found 0'],
    ['a negative size', '[[2,-3]]', 'f[0][1]: expected a positive integer but found -3'],
    ['half a size', '[[2,1.5]]', 'f[0][1]: expected a positive integer but found 1.5'],
    ['a size in words', '[["2",3]]', 'f[0][0]: expected a positive integer but found "2"'],
    ['a size too large for a number', '[[2,1e400]]', 'f[0][1]: expected a positive integer but found null'],
    ['a deeper list', '[[[2,3]]]', 'f[0]: expected batch'],
    ['more elements than a number holds', '[[1000000000,1000000000]]', 'f[0]: expected fewer than 2^53 elements'],
    ['more elements than fit', '[[100000,100000]]', 'f: every shape has more than 16777216 elements, such as [100000,100000]'],
    ['an entry of another name', '{"shapes":[{"shape":[2,3]}]}', 'f[0]: expected a shape'],
    ['an entry that is no list', '[{"shape_nc_spatial":3}]', 'f[0].shape_nc_spatial: expected a shape'],
    ['an entry with a bad eps', '[{"shape_nc_spatial":[2,3],"eps":-1}]', 'f[0].eps: expected a number from 0 but found -1'],
    ['a group of words', '{"shapes":{"a":"b"}}', 'f.a: expected a list of shapes but found "b"'],
  ];
  for (const [what, text, message] of bad) {
    it(`is refused with ${what}`, () => {
      expect(() => parseShapes(text, 'f')).to.throw(UsageError, message);
    });
  }

  it('gives shapes or one clear error, whatever is in it', () => {
    const size = fc.oneof(fc.integer(), fc.double(), fc.jsonValue());
    const content = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.oneof(fc.array(size), fc.jsonValue())).map((list) => JSON.stringify(list)),
      fc.dictionary(fc.string(), fc.array(fc.array(size))).map((shapes) => JSON.stringify({ shapes })),
    );
    fc.assert(
      fc.property(content, (text) => {
        try {
          const { shapes } = parseShapes(text, 'f');
          expect(shapes).to.not.be.empty;
          for (const { shape } of shapes) expect(shape.length >= 2 && shape.every((s) => Number.isSafeInteger(s) && s > 0)).to.equal(true);
        } catch (error) {
          expect(error).to.be.instanceOf(UsageError);
          expect((error as Error).message)
            .to.match(/^f/)
            .and.to.have.length.below(300);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('says which shapes are too large to run', () => {
    const { shapes, leftOut } = parseShapes('[[2,3],[4096,8192]]', 'f');
    expect(shapes).to.deep.equal([{ shape: [2, 3], eps: 1e-5 }]);
    expect(leftOut).to.deep.equal(['[4096, 8192] has more than 16777216 elements']);
  });

  it("makes problems of every operation, but for one value per channel only those that need no batch's statistics", () => {
    const names = casesOf(parseShapes('[[4,3,5],[1,3,1]]', 'f').shapes, false).map(({ name }) => name);
    const count = (pattern: RegExp) => names.filter((name) => pattern.test(name)).length;
    expect(new Set(names).size).to.equal(names.length);
    for (const operation of ['training', 'inference', 'backward', 'backward-constant']) {
      for (const layout of ['channels-first-4x3x5', 'channels-last-4x5x3']) {
        expect(count(new RegExp(`^${operation}/\\w+/${layout}/`)), `${operation} ${layout}`).to.equal(4);
      }
    }
    expect(count(/^inference\/\w+\/channels-first-1x3x1\//)).to.equal(4);
    expect(count(/^(training|backward)\/\w+\/channels-\w+-1x/)).to.equal(0);
    const quick = casesOf(parseShapes('[[4,3,5]]', 'f').shapes, true).map(({ name }) => name);
    expect(quick.map((name) => name.split('/').slice(0, 3).join('/'))).to.deep.equal([
      'training/float32/channels-first-4x3x5',
      'inference/float32/channels-first-4x3x5',
      'backward/float32/channels-first-4x3x5',
      'backward-constant/float32/channels-first-4x3x5',
    ]);
  });

  it('may be the one of the shared data', async function () {
    if (!existsSync(BNORM_SHAPES)) skip(this, `there is no ${BNORM_SHAPES}`);
    const { shapes, leftOut } = await readShapes(BNORM_SHAPES);
    const found = shapes.map(({ shape, eps }) => `${shape} ${eps}`);
    expect(found).to.include.members(['32,128,10 0.0625', '9,128,1 0.0625']);
    expect(shapes.length).to.be.greaterThan(100);
    expect(leftOut).to.not.be.empty;
  });
});
