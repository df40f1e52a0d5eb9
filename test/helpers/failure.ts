/** Expecting a refusal: the error's class, its code, and words of its message. */

import { expect } from 'chai';
import { BatchNormError, type ErrorCode } from '../../lib/index';

export function expectError(action: () => unknown, code: ErrorCode, ...words: string[]): void {
  let error: unknown;
  try {
    action();
  } catch (thrown) {
    error = thrown;
  }
  check(error, code, words);
}

export async function expectRejection(promise: Promise<unknown>, code: ErrorCode, ...words: string[]): Promise<void> {
  let error: unknown;
  await promise.catch((thrown: unknown) => {
    error = thrown;
  });
  check(error, code, words);
}

function check(error: unknown, code: ErrorCode, words: string[]): void {
  if (!(error instanceof BatchNormError)) expect.fail(`expected a BatchNormError with code ${code} but got ${String(error)}`);
  expect(error.code, error.message).to.equal(code);
  for (const word of words) expect(error.message).to.include(word);
}
