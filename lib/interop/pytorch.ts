/** Batch norm layers of PyTorch models in safetensors files, and back. */

import type { BatchNorm } from '../batch_norm';
import { expected, show } from '../errors';
import type { BatchNormOptions } from '../layer';
import { sameShape } from '../shape';
import { COUNTER, checkState, type LoadableEntry, type StateDict } from '../state_dict';
import { checkOptions, quoted } from '../validate';
import { entryName, findBatchNorms, NAMES, PARAMETERS } from './batch_norm_names';
import { entriesByName } from './by_name';
import { checkRange } from './float_values';
import { stateOf } from './layer_or_state';
import { importedLayer } from './imported_layer';
import { readLayer } from './layer_state';
import { checkPath } from './place';
import { type SafetensorsFile, type SafetensorsSource, withSafetensors } from './safetensors_file';
import { checkMetadata } from './safetensors_header';
import { type Part, partOf, partsOfFile, writeParts } from './safetensors_parts';

/** Options of {@link writeStateDict}. */
export interface WriteStateDictOptions {
  /** A file whose other tensors are kept, byte for byte, and whose layers of these names are replaced. It may be the target. */
  base?: SafetensorsSource | undefined;
  /** Texts by name. Left out: the base's; without a base `{ format: 'pt' }`, which some loaders ask for. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/** A layer or its state, to be written. */
export type WritableLayer = BatchNorm | Readonly<Record<string, LoadableEntry>>;

/** Layers by their names in the model: an object, or a Map as {@link loadBatchNorms} gives it. */
export type WritableLayers = ReadonlyMap<string, WritableLayer> | Readonly<Record<string, WritableLayer>>;

/**
 * Resolves to the names of all batch norms of a model: where there are `running_mean` and `running_var` of one length. Layers without
 * running statistics are not found, for nothing tells them from other normalizations.
 *
 * @throws {BatchNormError} as `openSafetensors`, by rejection.
 */
export function batchNormPrefixes(source: SafetensorsSource): Promise<string[]> {
  return withSafetensors(source, async (file) => findBatchNorms(file.tensors));
}

/**
 * Resolves to the state of one layer, for {@link BatchNorm.loadStateDict}. float16 and bfloat16 become float32, which holds them exactly. Only
 * this layer is read.
 *
 * @param prefix - the layer's name in the model, such as `'layer1.0.bn1'`, with or without a dot at the end; left out where the model is one layer.
 * @throws {BatchNormError} by rejection, as `openSafetensors`; `ERR_INVALID_ARGUMENT` where there is no such layer, `ERR_DTYPE`
 * and `ERR_SHAPE` where it is no batch norm.
 */
export async function readStateDict(source: SafetensorsSource, prefix = ''): Promise<StateDict> {
  checkPrefix(prefix);
  return withSafetensors(source, (file) => readLayer(file, prefix));
}

function checkPrefix(value: unknown): void {
  if (typeof value !== 'string') throw expected('a string', 'prefix', value);
}

/**
 * Resolves to one layer of a model, with its parameters and statistics, in eval mode: `train()` goes on with its training. `numFeatures`, and where
 * `options` leave them out `affine`, `trackRunningStats` and `dtype`, are as the file has them. A file does not tell eps and momentum: PyTorch's
 * defaults are ours.
 *
 * @param prefix - the layer's name in the model, such as `'layer1.0.bn1'`.
 * @throws {BatchNormError} by rejection, as {@link readStateDict} and the constructor of {@link BatchNorm}.
 */
export async function loadBatchNorm(source: SafetensorsSource, prefix: string, options?: BatchNormOptions): Promise<BatchNorm> {
  checkPrefix(prefix);
  return withSafetensors(source, async (file) => makeLayer(await readLayer(file, prefix), options));
}

/**
 * Resolves to all batch norms of a model, by name, as {@link loadBatchNorm} makes them and {@link batchNormPrefixes} finds them.
 *
 * @param options - of every layer.
 * @throws {BatchNormError} as {@link loadBatchNorm}, by rejection.
 */
export async function loadBatchNorms(source: SafetensorsSource, options?: BatchNormOptions): Promise<Map<string, BatchNorm>> {
  const layers = new Map<string, BatchNorm>();
  try {
    await withSafetensors(source, async (file) => {
      for (const prefix of findBatchNorms(file.tensors)) layers.set(prefix, makeLayer(await readLayer(file, prefix), options));
    });
  } catch (error) {
    for (const layer of layers.values()) layer.dispose();
    throw error;
  }
  return layers;
}

function makeLayer(state: StateDict, options: BatchNormOptions = {}): BatchNorm {
  if (typeof options !== 'object' || options === null) throw expected('an object', 'options', options);
  const entries = PARAMETERS.flatMap((name) => state[name] ?? []);
  const channels = entries[0]?.shape[0];
  if (channels === undefined) throw expected(`some of ${quoted(PARAMETERS)}`, 'state', state);
  const layerOptions = {
    ...options,
    affine: options.affine ?? (state.weight && state.bias ? true : state.weight ? 'weight' : state.bias ? 'bias' : false),
    trackRunningStats: options.trackRunningStats ?? state.running_mean !== undefined,
    dtype: options.dtype ?? (entries.some(({ dtype }) => dtype === 'float64') ? 'float64' : 'float32'),
  };
  return importedLayer(channels, layerOptions, state);
}

/**
 * Writes layers, or their states, under their names in a model, as PyTorch's `load_state_dict` expects them. With `base` they replace those
 * layers of that file, or are added, and all else in it is kept. A failure touches nothing.
 *
 * @param layers - by name, such as `{ 'layer1.0.bn1': layer }`.
 * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_SHAPE`, where a layer of the base has another number of
 * channels too, `ERR_DISPOSED`; and Node.js's own errors.
 */
export async function writeStateDict(target: string | URL, layers: WritableLayers, options?: WriteStateDictOptions): Promise<void> {
  checkOptions(options, ['base', 'metadata']);
  const path = checkPath(target, 'target');
  const metadata = options?.metadata === undefined ? undefined : checkMetadata(options.metadata, 'options.metadata');
  const parts = await partsOf(layers);
  const base = options?.base;
  if (base === undefined) return writeParts(path, [...parts.values()].flat(), metadata ?? { format: 'pt' });
  await withSafetensors(base, (file) => writeParts(path, replaceLayers(file, parts), metadata ?? file.metadata));
}

async function partsOf(layers: unknown): Promise<Map<string, Part[]>> {
  const parts = new Map<string, Part[]>();
  for (const [prefix, layer] of entriesByName(layers, 'layers by name', 'layers')) {
    const start = entryName(prefix, ''); // of the names of its tensors, with which readStateDict finds them again
    if (parts.has(start)) throw expected('each layer once', 'layers', layers);
    const where = `layers[${show(prefix)}]`;
    parts.set(start, layerParts(start, await stateOf(layer, where), where));
  }
  return parts;
}

function layerParts(prefix: string, state: Readonly<Record<string, unknown>>, where: string): Part[] {
  const entries = state as Record<string, LoadableEntry>;
  const names = PARAMETERS.filter((name) => Object.hasOwn(entries, name));
  const first = names[0];
  if (first === undefined) throw expected(`some of ${quoted(PARAMETERS)}`, where, state);
  const channels: unknown = entries[first]?.shape?.[0];
  if (typeof channels !== 'number')
    throw expected('a shape of one dimension', `${where}.${first}.shape`, entries[first]?.shape, 'ERR_SHAPE');
  const { values } = checkState(state, names, Object.hasOwn(entries, COUNTER), channels, 'float64', false);
  const unknown = Object.keys(entries).filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) throw expected(`no names but ${quoted(NAMES)}`, where, unknown);
  return NAMES.filter((name) => Object.hasOwn(entries, name)).map((name) => {
    const fullName = entryName(prefix, name);
    if (name === COUNTER) return partOf(fullName, { dtype: 'I64', shape: [], data: entries[name]!.data as BigInt64Array });
    const double = entries[name]!.dtype === 'float64';
    const given = values.get(name)!;
    const data = double ? Float64Array.from(given) : Float32Array.from(checkRange(given, 'float32', `${where}.${name}`));
    return partOf(fullName, { dtype: double ? 'F64' : 'F32', shape: [channels], data });
  });
}

/** The file's tensors in their order, each layer where its first tensor was, and new layers behind. */
function replaceLayers(file: SafetensorsFile, layers: ReadonlyMap<string, readonly Part[]>): Part[] {
  const layerOf = new Map<string, string>();
  for (const [prefix, parts] of layers) {
    checkReplacement(file, prefix, parts);
    for (const name of NAMES) layerOf.set(entryName(prefix, name), prefix);
  }
  const waiting = new Map(layers);
  const kept = partsOfFile(file).flatMap((part) => {
    const prefix = layerOf.get(part.name);
    if (prefix === undefined) return [part];
    const parts = waiting.get(prefix) ?? [];
    waiting.delete(prefix);
    return parts;
  });
  return [...kept, ...[...waiting.values()].flat()];
}

// A name mistaken for a layer's would put a batch norm in the place of a convolution.
function checkReplacement(file: SafetensorsFile, prefix: string, parts: readonly Part[]): void {
  const { shape } = parts[0]!;
  for (const name of PARAMETERS) {
    const old = file.tensors.get(entryName(prefix, name));
    if (old === undefined || sameShape(old.shape, shape)) continue;
    throw expected(`shape [${old.shape.join(', ')}], as ${file.name} has it,`, entryName(prefix, name), shape, 'ERR_SHAPE');
  }
}
