/** The command line of the CPU benchmark. */

import { readCommandLine, UsageError } from '../../lib/cli/usage';
import { type Problem, SHAPES } from './problem';

export const CONTENDERS = ['ours', 'floor', 'arithmetic', 'native', 'handed', 'kernels', 'onnxruntime', 'tfjs', 'pytorch'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

export const HELP = `Usage: npm run bench -- [options]

Times batch normalization on the CPU: ours, onnxruntime-node, TensorFlow.js (wasm) and, where a Python with torch is named,
PyTorch; each beside a plain copy of the same tensor with as many threads, in interleaved bursts of one run. The floor moves the
bytes that an operation has to move, without its arithmetic; another floor ('arithmetic') does that too, with as few instructions
as it takes: what this machine allows. 'native' is ours without JavaScript, 'handed' what of that the kernels take on the same
threads, and 'kernels' what they take on threads that stay on their cores.

  --quick           one launch, and short bursts: a look, not a measurement
  --shapes LIST     N×C×H×W, as 32x64x56x56,32x512x7x7 (default: all four), each channels first and channels last
  --only LIST       of ${CONTENDERS.join(',')} (the copy is always measured)
  --threads N       threads of every side that can choose (default: 2)
  --launches N      how often all are started anew: where their memory lies is luck that lasts as long as a process, and
                    can be worth a tenth of the time; the median of the launches counts (default: 5)
  --rounds N        bursts per implementation and operation in each launch (default: 5)
  --out FILE        where the JSON goes (default: reports/bench/cpu/<date>-<cpu>.json); the plot lies beside it as .svg
  --json            print the JSON instead of tables
  --help            this text

Environment: BENCH_PYTHON=/path/python names a Python with torch; CXX
the compiler for the copy, the floors and ours without JavaScript (default: c++).
`;

export interface Options {
  shapes: readonly Problem['shape'][];
  only: readonly ContenderName[];
  threads: number;
  launches: number;
  rounds: number;
  burstSeconds: number;
  out: string | undefined;
  json: boolean;
  help: boolean;
}

export function parseCount(name: string, text: string, least: 0 | 1 = 1): number {
  const count = text === '' ? Number.NaN : Number(text);
  if (Number.isInteger(count) && count >= least) return count;
  throw new UsageError(`Expected ${least === 0 ? '0 or ' : ''}a positive integer for --${name} but received ${text}`);
}

export function parseShape(text: string): Problem['shape'] {
  const sizes = text.split('x').map((size) => parseCount('shapes', size));
  if (sizes.length !== 4) throw new UsageError(`Expected a shape such as 32x64x56x56 for --shapes but received ${text}`);
  return sizes as unknown as Problem['shape'];
}

function parseContender(text: string): ContenderName {
  const name = CONTENDERS.find((one) => one === text);
  if (!name) throw new UsageError(`Expected ${CONTENDERS.join(', ')} for --only but received ${text}`);
  return name;
}

export function parseOptions(args: readonly string[]): Options {
  const values = readCommandLine(args, {
    quick: { type: 'boolean', default: false },
    shapes: { type: 'string' },
    only: { type: 'string' },
    threads: { type: 'string', default: '2' },
    launches: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    out: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  });
  return {
    shapes: values.shapes?.split(',').map(parseShape) ?? SHAPES,
    only: values.only?.split(',').map(parseContender) ?? CONTENDERS,
    threads: parseCount('threads', values.threads),
    launches: parseCount('launches', values.launches ?? (values.quick ? '1' : '5')),
    rounds: parseCount('rounds', values.rounds),
    burstSeconds: values.quick ? 0.01 : 0.06,
    out: values.out,
    json: values.json,
    help: values.help,
  };
}
