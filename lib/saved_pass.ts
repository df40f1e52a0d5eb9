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
  readonly #versions: number[] = [];

  constructor(call: Backward, hasResidual: boolean) {
    this.call = call;
    this.hasResidual = hasResidual;
    for (const name of OPERANDS) this.#versions.push(call[name]?.retain().version ?? 0);
  }

  checkUnchanged(): void {
    OPERANDS.forEach((name, i) => {
      const storage: Storage | null = this.call[name];
      if (storage === null || storage.version === this.#versions[i]) return;
      const known = name === 'input' && this.call.problem.settings.inPlace ? 'output, which took the place of the input,' : name;
      throw new BatchNormError('ERR_STATE', `Expected ${known} as it was in the forward pass but it was changed before backward`);
    });
  }

  release(): void {
    for (const name of OPERANDS) this.call[name]?.release();
  }
}
