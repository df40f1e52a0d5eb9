import { expect } from 'chai';
import { importWithout } from '../helpers/import_without';

describe('tfjs as an optional peer', () => {
  it('is asked for by name where it is missing', () => {
    expect(importWithout('@tensorflow/', 'lib/tfjs/index.ts')).to.match(/^MODULE_NOT_FOUND .*npm install @tensorflow\/tfjs/);
  });

  it('is not needed by the package itself', () => {
    expect(importWithout('@tensorflow/', 'lib/index.ts')).to.equal('imported\n');
  });
});
