/** The guides' code that needs a CUDA device. */

import { expect } from 'chai';
import { describeCuda } from '../helpers/cuda';
import { guideNames, programsOf, runProgram } from '../helpers/guides';

describeCuda('the code of the guides that needs a CUDA device', () => {
  for (const program of guideNames()
    .flatMap(programsOf)
    .filter(({ cuda }) => cuda))
    it(`${program.guide}, from line ${program.line} on, prints what it says`, () => {
      const printed = runProgram(program, {});
      for (const [i, { line, output }] of program.blocks.entries()) expect(printed[i], `line ${line}`).to.equal(output ?? '');
    });
});
