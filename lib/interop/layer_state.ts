/** The state of one batch norm in an open safetensors file. */

import { BatchNormError, expected, show } from '../errors';
import { sameShape } from '../shape';
import { COUNTER, type StateDict } from '../state_dict';
import { quoted } from '../validate';
import { entryName, findBatchNorms, NAMES } from './batch_norm_names';
import { floatValues } from './float_values';
import type { SafetensorsFile, SafetensorsTensor } from './safetensors_file';

/** Reads what there is of a layer under this name. */
export async function readLayer(file: SafetensorsFile, prefix: string): Promise<StateDict> {
  const names = NAMES.filter((name) => file.tensors.has(entryName(prefix, name)));
  if (names.length === 0) throw noSuchLayer(file, prefix);
  checkShapes(file, prefix, names);
  const state: StateDict = {};
  for (const name of names) state[name] = stateEntry(await file.read(entryName(prefix, name)), entryName(prefix, name), name);
  return state;
}

function noSuchLayer(file: SafetensorsFile, prefix: string): BatchNormError {
  const found = findBatchNorms(file.tensors);
  const some = found.length > 8 ? `${quoted(found.slice(0, 8))} and ${found.length - 8} more` : quoted(found);
  const hint = found.length === 0 ? 'it has none' : `it has ${some}`;
  return new BatchNormError(
    'ERR_INVALID_ARGUMENT',
    `Expected the name of a batch norm of ${file.name} but received ${show(prefix)}: ${hint}`,
  );
}

// Before any data is read: a wrong name may be that of a layer of gigabytes.
function checkShapes(file: SafetensorsFile, prefix: string, names: readonly string[]): void {
  let channels: readonly number[] | undefined;
  for (const name of names) {
    const { shape } = file.tensors.get(entryName(prefix, name))!;
    if (name === COUNTER) continue;
    channels ??= shape;
    if (shape.length === 1 && sameShape(shape, channels)) continue;
    const wanted = channels.length === 1 ? `shape [${channels[0]}]` : 'one dimension, as a batch norm has,';
    throw expected(wanted, entryName(prefix, name), shape, 'ERR_SHAPE');
  }
}

function stateEntry(tensor: SafetensorsTensor, fullName: string, name: string): StateDict[string] {
  const shape = [...tensor.shape];
  if (name !== COUNTER) {
    const data = floatValues(tensor, fullName);
    return { dtype: data instanceof Float64Array ? 'float64' : 'float32', shape, data };
  }
  if (tensor.dtype === 'I64') return { dtype: 'int64', shape, data: tensor.data };
  throw expected('I64', `the dtype of ${fullName}`, tensor.dtype, 'ERR_DTYPE');
}
