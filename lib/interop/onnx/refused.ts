/** Errors about what stands in a model. */

import { BatchNormError, type ErrorCode } from '../../errors';

/** As `expected` of the package, with what was found in words; made, not thrown. */
export function refused(what: string, name: string, received: string, code: ErrorCode = 'ERR_INVALID_ARGUMENT'): BatchNormError {
  return new BatchNormError(code, `Expected ${what} for ${name} but received ${received}`);
}
