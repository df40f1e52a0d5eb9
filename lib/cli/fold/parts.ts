/** The tensors of a model after folding. */

import { entryName, NAMES } from '../../interop/batch_norm_names';
import { type FloatDType, floatValues, isFloat, storedFloats } from '../../interop/float_values';
import { type Affine, affineOfState, checkOutputAxis, foldBias, scaleChannels } from '../../interop/fold_arithmetic';
import { readLayer } from '../../interop/layer_state';
import type { SafetensorsFile } from '../../interop/safetensors_file';
import { byteLengthOf } from '../../interop/safetensors_header';
import { bytesOf, type Part, partsOfFile } from '../../interop/safetensors_parts';
import { BatchNormError } from '../../errors';
import type { Pair } from './pairs';

/** A layer that gets a batch norm, and what is known of it without reading its elements. */
export interface Target extends Pair {
  dtype: FloatDType;
  shape: readonly number[];
  axis: number;
  /** Of the bias that it has, or gets. */
  biasDType: FloatDType;
  hasBias: boolean;
}

/** Checks that the batch norm can go into the layer. */
export function targetOf(file: SafetensorsFile, { layer, batchNorm }: Pair, outputAxis: number): Target {
  const { dtype, shape } = file.tensors.get(entryName(layer, 'weight'))!;
  const bias = file.tensors.get(entryName(layer, 'bias'));
  const where = `Expected batch norm '${batchNorm}' to fit layer '${layer}' but`;
  if (!isFloat(dtype) || (bias !== undefined && !isFloat(bias.dtype))) {
    throw new BatchNormError('ERR_DTYPE', `${where} its ${isFloat(dtype) ? 'bias' : 'weight'} is neither F64, F32, F16 nor BF16`);
  }
  const axis = checkOutputAxis(outputAxis, shape, `--output-axis and layer '${layer}'`);
  const channels = file.tensors.get(entryName(batchNorm, 'running_mean'))!.shape[0]!;
  if (shape[axis] !== channels) {
    const sizes = `[${shape.join(', ')}], so ${shape[axis]} output channels at axis ${outputAxis}`;
    throw new BatchNormError('ERR_SHAPE', `${where} that has ${channels} channels, and the weight has shape ${sizes}`);
  }
  if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== channels)) {
    throw new BatchNormError('ERR_SHAPE', `${where} that has ${channels} channels, and the bias has shape [${bias.shape.join(', ')}]`);
  }
  return { layer, batchNorm, dtype, shape, axis, biasDType: (bias?.dtype as FloatDType | undefined) ?? dtype, hasBias: bias !== undefined };
}

/** All tensors in the file's order: each bias behind its weight, and nothing of the folded batch norms. */
export function foldedParts(file: SafetensorsFile, targets: readonly Target[], eps: number): Part[] {
  const byWeight = new Map(targets.map((target) => [entryName(target.layer, 'weight'), target]));
  const replaced = new Set(
    targets.flatMap(({ layer, batchNorm }) => [entryName(layer, 'bias'), ...NAMES.map((name) => entryName(batchNorm, name))]),
  );
  return partsOfFile(file).flatMap((part) => {
    const target = byWeight.get(part.name);
    if (target !== undefined) return [weightPart(file, target, eps), biasPart(file, target, eps)];
    return replaced.has(part.name) ? [] : [part];
  });
}

function weightPart(file: SafetensorsFile, target: Target, eps: number): Part {
  const { layer, shape, axis, dtype } = target;
  const name = entryName(layer, 'weight');
  const load = async () => {
    const weight = floatValues(await file.read(name), name);
    const scaled = scaleChannels(weight, shape, axis, await affineOf(file, target, eps));
    return bytesOf({ data: storedFloats(scaled, dtype, name) });
  };
  return { name, dtype, shape, byteLength: file.tensors.get(name)!.byteLength, load };
}

function biasPart(file: SafetensorsFile, target: Target, eps: number): Part {
  const { layer, shape, axis, biasDType: dtype, hasBias } = target;
  const name = entryName(layer, 'bias');
  const channels = shape[axis]!;
  const load = async () => {
    const bias = hasBias ? floatValues(await file.read(name), name) : new Float64Array(channels);
    return bytesOf({ data: storedFloats(foldBias(bias, await affineOf(file, target, eps)), dtype, name) });
  };
  return { name, dtype, shape: [channels], byteLength: byteLengthOf(dtype, [channels]), load };
}

async function affineOf(file: SafetensorsFile, { batchNorm, shape, axis }: Target, eps: number): Promise<Affine> {
  return affineOfState(await readLayer(file, batchNorm), shape[axis]!, eps);
}
