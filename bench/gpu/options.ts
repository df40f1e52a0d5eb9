/** The command line of the GPU benchmark. */

import { parseArgs } from 'node:util';
import { parseCount, parseShape } from '../cpu/options';
import type { Problem } from '../cpu/problem';
import { DTYPES, type GpuProblem, SHAPES, TINY_SHAPES } from './problem';

export const HELP = `Usage: npm run bench:gpu -- [options]

Times batch normalization on a GPU by CUDA's events, for the shapes of ResNet-50 at batch 32, channels first and channels last:
training forward, inference and backward, each beside a copy on the device that moves the same bytes, in turns of one run; once
with the data out of the L2 cache and once with what fits of it inside.

  --quick           few rounds: a look, not a measurement
  --shapes LIST     N×C×H×W, as 32x64x56x56,32x512x7x7 (default: the nine of ResNet-50)
  --dtypes LIST     of ${DTYPES.join(',')} (default: all)
  --rounds N        samples of everything (default: 50)
  --out FILE        where the JSON goes (default: reports/bench/gpu/<date>-<gpu>.json); the plot lies beside it as .svg
  --json            print the JSON instead of tables
  --rehearse        run all of it once on tiny shapes, show no times and write nothing: this also works on the emulated GPU,
                    which no benchmark takes times from (CUDA_BATCHNORM_VARIANT=emulated)
  --help            this text
`;

export interface Options {
  shapes: readonly Problem['shape'][];
  dtypes: readonly GpuProblem['dtype'][];
  rounds: number;
  /** Calls back to back where the cache is warm. */
  calls: number;
  /** Bytes written to drive everything else out of the L2 cache; more than any GPU's has. */
  flushBytes: number;
  rehearse: boolean;
  out: string | undefined;
  json: boolean;
  help: boolean;
}

function parseDType(text: string): GpuProblem['dtype'] {
  const dtype = DTYPES.find((one) => one === text);
  if (!dtype) throw new Error(`Expected ${DTYPES.join(', ')} for --dtypes but received ${text}`);
  return dtype;
}

export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      shapes: { type: 'string' },
      dtypes: { type: 'string' },
      rounds: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean', default: false },
      rehearse: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { rehearse, out, json, help } = values;
  return {
    shapes: rehearse ? TINY_SHAPES : (values.shapes?.split(',').map(parseShape) ?? SHAPES),
    dtypes: values.dtypes?.split(',').map(parseDType) ?? DTYPES,
    rounds: rehearse ? 2 : parseCount('rounds', values.rounds ?? (values.quick ? '10' : '50')),
    calls: rehearse ? 2 : 10,
    flushBytes: rehearse ? 2 ** 16 : 2 ** 29,
    rehearse,
    out,
    json,
    help,
  };
}
