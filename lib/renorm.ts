/** Batch renormalization: what it is told, and where it can be had. */

import type { Backend } from './backend';
import { BatchNormError, expected } from './errors';
import { checkFinite, checkNonNegative, checkOptions } from './validate';

/**
 * Limits of batch renormalization (Ioffe 2017, arXiv:1702.03275). In training the normalized value x̂ becomes x̂·r + d, with
 * r = σ_batch / σ_running and d = (μ_batch − μ_running) / σ_running, σ = √(variance + eps), and the running statistics as they are before the pass:
 * what eval mode would give, within limits. To backward r and d are constants. `{ rMax: 1, dMax: 0 }` is plain batch norm.
 */
export interface Renorm {
  /** Greatest r, and 1 over the least; at least 1. Large ones trust the running statistics: start at 1 and raise it, to 3 in the paper. */
  readonly rMax: number;
  /** Greatest |d|; at least 0. Start at 0 and raise it, to 5 in the paper. */
  readonly dMax: number;
}

/** The limits, checked and copied; null where there is no renormalization. */
export function checkRenorm(value: unknown, backend: Backend): Renorm | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object') throw expected('{ rMax, dMax }', 'options.renorm', value);
  checkOptions(value, ['rMax', 'dMax'], 'options.renorm');
  const { rMax, dMax } = value as Partial<Record<keyof Renorm, unknown>>;
  const limit = checkFinite(rMax, 'options.renorm.rMax');
  if (limit < 1) throw expected('a finite number of at least 1', 'options.renorm.rMax', rMax);
  const renorm = Object.freeze({ rMax: limit, dMax: checkNonNegative(dMax, 'options.renorm.dMax') });
  if (backend.library === 'native') return renorm;
  throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected backend 'native' with renorm but received 'cudnn', which knows nothing of it`);
}

/** Null for limits that leave plain batch norm, where r is 1 and d is 0: such passes are plain ones to all below. */
export function correcting(renorm: Renorm | null): Renorm | null {
  return renorm !== null && (renorm.rMax > 1 || renorm.dMax > 0) ? renorm : null;
}

/** Renormalization is towards running statistics, so there must be some. */
export function checkRenormTracks(renorm: Renorm | null, tracked: boolean, instead: string): void {
  if (renorm === null || tracked) return;
  throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected running statistics with renorm but received ${instead}`);
}
