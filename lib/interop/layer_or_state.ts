/** A batch norm as callers give it: a layer, or its state. */

import { BatchNorm } from '../batch_norm';
import { expected } from '../errors';
import { Layer } from '../layer';

/** The state by PyTorch's names, of which a given one is not looked into. @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DISPOSED`. */
export async function stateOf(value: unknown, name: string): Promise<Record<string, unknown>> {
  if (value instanceof BatchNorm) return value.stateDict();
  const other = typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Layer;
  if (other) throw expected('a BatchNorm or a state dictionary', name, value);
  return value as Record<string, unknown>;
}
