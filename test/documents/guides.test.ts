/** The guides say what is: their code runs and prints what they say, and they know every error there is. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { guidePlots } from '../../bench/plots/guides';
import { blocksOf, GUIDES, guideNames, programsOf, readGuide, runProgram } from '../helpers/guides';
import { readme } from '../helpers/readme';

const ROOT = join(__dirname, '../..');

/** The codes of lib/errors.ts. */
function errorCodes(): string[] {
  const [, union = ''] = /export type ErrorCode =([^;]*);/.exec(readFileSync(join(ROOT, 'lib/errors.ts'), 'utf8'))!;
  return [...union.matchAll(/'(ERR_\w+)'/g)].map(([, code]) => code!);
}

describe('the guides', () => {
  for (const guide of guideNames()) {
    describe(guide, () => {
      it('has blocks of code that are tested, and no others', () => {
        const blocks = blocksOf(readGuide(guide));
        expect(blocks.filter(({ language }) => language === 'js')).to.not.be.empty;
        expect(blocks.filter(({ language }) => !['js', 'sh'].includes(language))).to.deep.equal([]);
        expect(blocks.filter(({ needs }) => !['', 'cuda'].includes(needs))).to.deep.equal([]);
      });

      for (const program of programsOf(guide).filter(({ cuda }) => !cuda))
        it(`runs the code from line ${program.line} on, which prints what it says`, () => {
          const printed = runProgram(program);
          for (const [i, { line, output }] of program.blocks.entries()) expect(printed[i], `line ${line}`).to.equal(output ?? '');
        });
    });
  }

  it('explain every error code, and so does the README', () => {
    const codes = errorCodes();
    expect(codes.length).to.be.greaterThan(10);
    const headings = [...readGuide('errors.md').matchAll(/^## (.*)$/gm)].flatMap(([, heading]) => heading!.match(/ERR_\w+/g) ?? []);
    expect(headings).to.have.members(codes);
    const rows = [...readme().matchAll(/^\| (`ERR_\w+`(?:, `ERR_\w+`)*) \|/gm)].flatMap(([, cell]) => cell!.match(/ERR_\w+/g)!);
    expect(rows).to.have.members(codes);
  });

  it('show the plots of the newest results: `npm run plots` draws them', () => {
    const plots = guidePlots();
    expect(readdirSync(join(GUIDES, 'plots'))).to.have.members(Object.keys(plots));
    for (const [name, svg] of Object.entries(plots)) expect(readFileSync(join(GUIDES, 'plots', name), 'utf8') === svg, name).to.equal(true);
    const shown = guideNames().flatMap((guide) => [...readGuide(guide).matchAll(/!\[[^\]]+\]\(plots\/(.*?)\)/g)].map(([, name]) => name));
    expect(shown).to.have.members(Object.keys(plots));
  });

  it('say that no GPU was measured as long as there are no results of one', () => {
    expect(readGuide('performance.md').includes('No GPU was ever measured')).to.equal(!existsSync(join(ROOT, 'bench/results/gpu')));
  });

  it('are all named in the README, and in the order of the site', () => {
    const { projectDocuments } = JSON.parse(readFileSync(join(ROOT, 'typedoc.json'), 'utf8'));
    const paths = guideNames().map((name) => `guides/${name}`);
    expect(projectDocuments).to.have.members(paths);
    const linked = [...readme().matchAll(/\]\((guides\/\w+\.md)\)/g)].map(([, path]) => path);
    expect(linked).to.deep.equal(projectDocuments);
  });
});
