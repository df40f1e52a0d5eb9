import { expect } from 'chai';
import { BatchNorm, BatchNormError, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';

function thrownBy(action: () => unknown): BatchNormError {
  try {
    action();
  } catch (error) {
    return error as BatchNormError;
  }
  return expect.fail('nothing was thrown');
}

describe('errors', () => {
  it('are Errors with a name, a code and a stack that begins with them', () => {
    const error = thrownBy(() => Tensor.from([1], [2], { device }));
    expect(error).to.be.instanceOf(BatchNormError).and.instanceOf(Error);
    expect(error.name).to.equal('BatchNormError');
    expect(error.code).to.equal('ERR_SHAPE');
    expect(error.stack).to.match(/^BatchNormError: Expected length 2 for data but received length 1\n/);
  });

  it('of native code are of the same class', () => {
    const error = thrownBy(() => Tensor.empty([2 ** 50], { device }));
    expect(error).to.be.instanceOf(BatchNormError);
    expect(error.code).to.equal('ERR_OUT_OF_MEMORY');
    expect(error.message).to.include(String(2 ** 52));
  });

  it('say what was expected, for what, and what was received, of which type', () => {
    const message = (action: () => unknown) => thrownBy(action).message;
    expect(message(() => new BatchNorm('8' as never, { device }))).to.equal(
      "Expected a positive integer for numFeatures but received '8' of type string",
    );
    expect(message(() => new BatchNorm(8, { eps: Number.NaN, device }))).to.equal(
      'Expected a finite number of at least 0 for options.eps but received NaN of type number',
    );
    expect(message(() => Tensor.from(null as never, [1], { device }))).to.include('for data but received null of type null');
    expect(message(() => Tensor.from([1], [1, 1.5], { device }))).to.include('for shape[1] but received 1.5 of type number');
  });

  it('print values short, whatever their size', () => {
    const huge = [
      new Array(10_000).fill(1),
      new Float64Array(10_000),
      'x'.repeat(10_000),
      Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i])),
    ];
    for (const value of huge) {
      const { message } = thrownBy(() => Tensor.full([1], value as never, { device }));
      expect(message.length).to.be.lessThan(250);
      expect(message).to.not.include('\n');
    }
  });

  it('do not run the code of the value they print', () => {
    const trap = new Proxy({}, { get: () => expect.fail('the value was read'), ownKeys: () => expect.fail('the value was listed') });
    const getter = Object.defineProperty({}, 'x', { enumerable: true, get: () => expect.fail('the getter was called') });
    for (const value of [trap, getter]) expectError(() => new BatchNorm(value as never, { device }), 'ERR_INVALID_ARGUMENT', 'numFeatures');
  });

  it('name an unknown option, the known ones, and the one that was meant', () => {
    expectError(
      () => new BatchNorm(2, { epsilon: 1e-3 } as never),
      'ERR_INVALID_ARGUMENT',
      "'epsilon'",
      "Did you mean 'eps'?",
      "'momentum'",
    );
    expectError(() => new BatchNorm(2, { momentun: 0.1 } as never), 'ERR_INVALID_ARGUMENT', "Did you mean 'momentum'?");
    expectError(() => new BatchNorm(2, { Axis: 1 } as never), 'ERR_INVALID_ARGUMENT', "Did you mean 'axis'?");
    const { message } = thrownBy(() => new BatchNorm(2, { colour: 1 } as never));
    expect(message).to.include("'colour'").and.not.include('Did you mean');
  });

  it('of the caller pass through', () => {
    const options = {
      get eps(): number {
        throw new RangeError('mine');
      },
    };
    expect(() => new BatchNorm(2, options)).to.throw(RangeError, 'mine');
  });
});
