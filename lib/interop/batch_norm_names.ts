/** Which tensors of a PyTorch model are a batch norm's. */

import { sameShape } from '../shape';
import { COUNTER } from '../state_dict';
import type { SafetensorsInfo } from './safetensors_header';

export const PARAMETERS = ['weight', 'bias', 'running_mean', 'running_var'] as const;
/** All that `nn.BatchNorm*` puts into a state dictionary. */
export const NAMES: readonly string[] = [...PARAMETERS, COUNTER];

/** `'layer1.0.bn1'` and `'layer1.0.bn1.'` mean the same; `''` is a model that is one layer. */
export function entryName(prefix: string, name: string): string {
  return prefix === '' || prefix.endsWith('.') ? `${prefix}${name}` : `${prefix}.${name}`;
}

/** The prefixes, without a dot at the end, under which there are running statistics with a parameter for each value at most. */
export function findBatchNorms(tensors: ReadonlyMap<string, SafetensorsInfo>): string[] {
  const mean = /^(?:(.*)\.)?running_mean$/s;
  const prefixes = [...tensors.keys()].flatMap((name) => {
    const found = mean.exec(name);
    const prefix = found?.[1] ?? '';
    // '.running_mean' and 'a..running_mean' are tensors that no prefix leads to.
    return found !== null && entryName(prefix, 'running_mean') === name ? [prefix] : [];
  });
  return prefixes.filter((prefix) => {
    const { shape } = tensors.get(entryName(prefix, 'running_mean'))!;
    const fits = (name: string) => sameShape(tensors.get(entryName(prefix, name))?.shape ?? shape, shape);
    return shape.length === 1 && tensors.has(entryName(prefix, 'running_var')) && PARAMETERS.every(fits);
  });
}
