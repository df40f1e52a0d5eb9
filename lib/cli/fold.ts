/** `cuda-batchnorm fold`: a model file without the batch norms that the layers before them can do as well. */

import { realpath } from 'node:fs/promises';
import { findBatchNorms } from '../interop/batch_norm_names';
import { type SafetensorsFile, withSafetensors } from '../interop/safetensors_file';
import { type Part, writeParts } from '../interop/safetensors_parts';
import { type FoldCommandOptions, HELP, parseOptions } from './fold/options';
import { choosePairs, layersOf, list } from './fold/pairs';
import { foldedParts, type Target, targetOf } from './fold/parts';
import { makeProgress } from './fold/progress';
import { describe, type FoldResult } from './fold/text';
import { UsageError } from './usage';

/** Runs the command with the arguments after its name. */
export async function run(args: string[]): Promise<void> {
  const options = parseOptions(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const { input, out, json } = options;
  let result: FoldResult;
  try {
    await checkOut(input, out);
    result = await withSafetensors(input, (file) => foldFile(file, options));
  } catch (error) {
    throw explain(error, 'read', input);
  }
  process.stdout.write(json ? `${JSON.stringify(result, null, 2)}\n` : describe(result));
}

async function checkOut(input: string, out: string): Promise<void> {
  const place = await realpath(input);
  const same = place === (await realpath(out).catch(() => undefined));
  if (same) throw new UsageError(`--out '${out}' is the model itself, which is not overwritten: name another file`);
}

/** What a wrong name of a file leads to; whatever else the system reports is no fault of the call. */
const WRONG_CALL: readonly unknown[] = ['ENOENT', 'EACCES', 'ENOTDIR', 'EISDIR', 'EPERM'];

/** Tells of system errors which file they are about: the name of a temporary one would say nothing to the user. */
function explain(error: unknown, what: 'read' | 'write', file: string): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error;
  const [reason] = error.message.split(', ');
  const Explained = 'code' in error && WRONG_CALL.includes(error.code) ? UsageError : Error;
  return new Explained(`cannot ${what} '${file}': ${reason}`, { cause: error });
}

/** The part, which says of errors that it was read from this file: it is loaded while another one is written. */
function readFrom(input: string, part: Part): Part {
  const load = async () => {
    try {
      return await part.load();
    } catch (error) {
      throw explain(error, 'read', input);
    }
  };
  return { ...part, load };
}

function askForPairs(layers: readonly string[], batchNorms: readonly string[]): string {
  const found = `Its layers: ${list(layers)}. Its batch norms: ${list(batchNorms)}`;
  return `expected --pairs, to say which batch norm follows which layer, for the model does not tell. ${found}`;
}

async function foldFile(file: SafetensorsFile, options: FoldCommandOptions): Promise<FoldResult> {
  const { input, out, patterns, json } = options;
  const batchNorms = findBatchNorms(file.tensors);
  const layers = layersOf(file.tensors, batchNorms);
  if (patterns.length === 0) throw new UsageError(askForPairs(layers, batchNorms));
  const pairs = choosePairs(patterns, layers, batchNorms);
  const targets: Target[] = pairs.map((pair) => targetOf(file, pair, options.outputAxis));
  const progress = makeProgress(json);
  const parts = foldedParts(file, targets, options.eps).map((part) => readFrom(input, part));
  try {
    await writeParts(out, parts, file.metadata, progress.step);
  } catch (error) {
    throw explain(error, 'write', out);
  } finally {
    progress.end();
  }
  const gone = new Set(pairs.map(({ batchNorm }) => batchNorm));
  const folded = targets.map(({ layer, batchNorm, shape, dtype }) => ({ layer, batchNorm, shape, dtype }));
  return { input, output: out, folded, remaining: batchNorms.filter((name) => !gone.has(name)) };
}
