import { BatchNormError } from './errors';
import type { Backward } from './operations';
import type { Storage } from './storage';

// What backward reads, by the names that errors use.
const OPERANDS = ['input', 'output', 'residual', 'mask', 'statistics', 'mean', 'variance', 'weight', 'bias'] as const;

/**
 * A forward pass kept for its backward pass: an owner of everything backward reads, so that the caller may dispose tensors in between.
 * Changing them in between would give wrong gradients, and is noticed by their versions.
 */
export class SavedPass {
  readonly call: Backward;
  readonly hasResidual: boolean;
  readonly #kept: readonly (Storage | null)[]; // in the order of OPERANDS
  readonly #versions: readonly number[];

  constructor(call: Backward, hasResidual: boolean) {
    this.call = call;
    this.hasResidual = hasResidual;
    const { input, output, residual, mask, statistics, mean, variance, weight, bias } = call;
    this.#kept = [input, output, residual, mask, statistics, mean, variance, weight, bias];
    this.#versions = this.#kept.map((storage) => storage?.retain().version ?? 0);
  }

  checkUnchanged(): void {
    this.#kept.forEach((storage, i) => {
      if (storage === null || storage.version === this.#versions[i]) return;
      const name = OPERANDS[i]!;
      const known = name === 'input' && this.call.problem.settings.inPlace ? 'output, which took the place of the input,' : name;
      throw new BatchNormError('ERR_STATE', `Expected ${known} as it was in the forward pass but it was changed before backward`);
    });
  }

  release(): void {
    for (const storage of this.#kept) storage?.release();
  }
}
