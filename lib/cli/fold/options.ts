/** The command line of fold. */

import { basename, dirname, extname, join } from 'node:path';
import { readFilesAndOptions, UsageError } from '../usage';
import { type Pattern, parsePattern } from './pairs';

export interface FoldCommandOptions {
  input: string;
  out: string;
  patterns: Pattern[];
  eps: number;
  outputAxis: number;
  json: boolean;
}

export const HELP = `Usage: cuda-batchnorm fold MODEL.safetensors --pairs 'conv1=bn1' [--pairs '*.conv1=*.bn1' …] [options]

Folds batch norms into the convolutions or linear layers before them, for inference: the model computes the same without them. Writes a new file in
which weights are scaled, each folded layer has a bias, the tensors of the folded batch norms are gone, and all else is as it was. The code
of the model must then leave these batch norms out, and give the layers before them a bias.

  --pairs A=B        fold batch norm B into layer A, by their names in the model; may be given often. * stands for anything, and for the same
                     on both sides: '*.conv1=*.bn1' folds layer1.0.bn1 into layer1.0.conv1. Where a model has A and no B, A is left
                     as it is. Only you can know what follows what: a wrong pair gives a wrong model
  --out FILE         the file to write; MODEL.folded.safetensors when left out
  --eps NUMBER       what the batch norms add to the variance, which a file does not tell (1e-5, as in PyTorch)
  --output-axis=N    the dimension of the weights that counts output channels: 0 (the default) for PyTorch's convolutions and linear layers,
                     1 for its transposed convolutions, -1 for kernels of Keras
  --json             print what was done as JSON on stdout and nothing else
  --help             print this

Computed in double and rounded once, to the type of the weight: F64, F32, F16 or BF16.

Status: 0 done, 1 failed, 2 a wrong call. Where it fails no file is written.
`;

/** undefined when help was asked for. */
export function parseOptions(args: string[]): FoldCommandOptions | undefined {
  const { files, values } = readFilesAndOptions(args, {
    pairs: { type: 'string', multiple: true },
    out: { type: 'string' },
    eps: { type: 'string' },
    'output-axis': { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return undefined;
  const [input] = files;
  if (input === undefined) throw new UsageError('expected the file of a model but received none');
  if (files.length > 1) throw new UsageError(`expected one file but received ${files.map((file) => `'${file}'`).join(', ')}`);
  return {
    input,
    out: values.out ?? join(dirname(input), `${basename(input, extname(input))}.folded.safetensors`),
    patterns: (values.pairs ?? []).map(parsePattern),
    eps: eps(values.eps ?? '1e-5'),
    outputAxis: outputAxis(values['output-axis'] ?? '0'),
    json: values.json ?? false,
  };
}

function eps(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new UsageError(`expected a number of at least 0 for --eps but received '${text}'`);
}

function outputAxis(text: string): number {
  if (/^-?\d{1,3}$/.test(text)) return Number(text);
  throw new UsageError(`expected an integer for --output-axis but received '${text}'`);
}
