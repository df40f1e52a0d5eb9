/** A layer made of what another library says of it. */

import { BatchNorm } from '../batch_norm';
import type { BatchNormOptions } from '../layer';
import type { LoadableEntry } from '../state_dict';

/** In eval mode: it is trained. Where the state does not fit, nothing is left behind. @throws {BatchNormError} as `new BatchNorm` and `loadStateDict`. */
export function importedLayer(channels: number, options: BatchNormOptions, state: Readonly<Record<string, LoadableEntry>>): BatchNorm {
  const layer = new BatchNorm(channels, options);
  try {
    layer.loadStateDict(state);
  } catch (error) {
    layer.dispose();
    throw error;
  }
  return layer.eval();
}
