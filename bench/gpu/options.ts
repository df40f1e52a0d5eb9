/** The command line of the GPU benchmark. */

import { readCommandLine, UsageError } from '../../lib/cli/usage';
import { parseCount } from '../cpu/options';
import { OPERATIONS, type Operation } from '../cpu/problem';
import { FUSED, OTHER_NETWORKS, RESNET50, TINY_LIST, TINY_NETWORK } from './networks';
import type { Selection } from './plan';
import { DTYPES, LAYOUTS } from './problem';

const NETWORKS = [RESNET50, ...OTHER_NETWORKS];

/** As the command line has them. */
const LAYOUT_NAMES = { first: LAYOUTS[0]!, last: LAYOUTS[1]! };
const OPERATION_NAMES: Record<string, Operation> = { forward: 'trainingForward', inference: 'inference', backward: 'backward' };

export const HELP = `Usage: npm run bench:gpu -- [options]

Times batch normalization on a GPU by CUDA's events, for the shapes of ResNet-50 and of other networks, channels first and channels last:
training forward, inference and backward, alone and with ReLU or add and ReLU fused; with the data out of the L2 cache and with what fits of
it inside. Ours, cuDNN in each of its modes, and a copy on the device of as many bytes take turns; PyTorch (eager and torch.compile) follows
problem by problem, on the same inputs. Then all 53 batch norms of a training step at once, also as a CUDA graph, and the time per call seen from JavaScript.

It does what matters most first, and ends in time: what it then did not get to is listed. Whoever cannot take part, or cannot do one
operation, is in the report with the reason; where ours fails, or computes something else than PyTorch, the status is 1.

  --networks LIST   of ${NETWORKS.map(({ name }) => name).join(',')} (default: all); the first
                    one comes with everything that can be fused and as a whole step, the others plain and with ReLU
  --batches LIST    of pictures (default: 256,32); steps and the other networks take the smallest
  --dtypes LIST     of ${DTYPES.join(',')} (default: all)
  --layouts LIST    of ${Object.keys(LAYOUT_NAMES).join(',')}: where the channels are (default: both)
  --operations LIST of ${Object.keys(OPERATION_NAMES).join(',')} (default: all)
  --fused LIST      of ${FUSED.join(',')} (default: all)
  --rounds N        samples of everything (default: 10)
  --quick           3 rounds: a look, not a measurement
  --budget SECONDS  how long it may take (default: 480), and some seconds more to end what it is at
  --compile SECONDS how much of that torch.compile may compile (default: a quarter), in equal shares for each type, layout
                    and what is fused; 0 switches it off
  --out FILE        where the JSON goes, after each problem (default: reports/bench/gpu/<date>-<gpu>.json); the plots lie beside it as .svg
                    and -roofline.svg
  --json            print the JSON instead of tables
  --rehearse        run all of it on tiny shapes, show no times and keep nothing: this also works on the emulated GPU, which no
                    benchmark takes times from (CUDA_BATCHNORM_VARIANT=emulated); PyTorch is then on the CPU
  --help            this text

Environment: BENCH_PYTHON=/path/python names the Python that has torch (default: python3); CUDNN_HOME the folder of cuDNN.
`;

export interface Options extends Selection {
  operations: readonly Operation[];
  rounds: number;
  /** The most calls back to back where the cache is warm. */
  calls: number;
  /** Bytes written to drive everything else out of the L2 cache; more than any GPU's has. */
  flushBytes: number;
  /** In seconds. */
  budget: number;
  compileSeconds: number;
  rehearse: boolean;
  out: string | undefined;
  json: boolean;
  help: boolean;
}

/** What a list names, in the order of the list; all of `choices` where there is none. */
function parseList<T>(option: string, text: string | undefined, choices: Readonly<Record<string, T>>): T[] {
  if (text === undefined) return Object.values(choices);
  return text.split(',').map((name) => {
    if (Object.hasOwn(choices, name)) return choices[name]!;
    throw new UsageError(`Expected ${Object.keys(choices).join(', ')} for --${option} but received '${name}'`);
  });
}

const byName = <T extends string>(names: readonly T[]) => Object.fromEntries(names.map((name) => [name, name])) as Record<T, T>;

function parseCompile(text: string | undefined, budget: number): number {
  return text === undefined ? Math.ceil(budget / 4) : parseCount('compile', text, 0);
}

export function parseOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const values = readCommandLine(args, {
    networks: text,
    batches: text,
    dtypes: text,
    layouts: text,
    operations: text,
    fused: text,
    rounds: text,
    quick: flag,
    budget: text,
    compile: text,
    out: text,
    json: flag,
    rehearse: flag,
    help: flag,
  });
  const { rehearse, quick, out, json, help } = values;
  const budget = parseCount('budget', values.budget ?? '480');
  const networks = parseList('networks', values.networks, Object.fromEntries(NETWORKS.map((network) => [network.name, network])));
  const batches = (values.batches ?? '256,32').split(',').map((batch) => parseCount('batches', batch));
  return {
    networks: rehearse ? [TINY_NETWORK, TINY_LIST] : networks,
    batches: rehearse ? [2] : batches,
    dtypes: parseList('dtypes', values.dtypes, byName(DTYPES)),
    layouts: parseList('layouts', values.layouts, LAYOUT_NAMES),
    operations: parseList('operations', values.operations, values.operations ? OPERATION_NAMES : byName(OPERATIONS)),
    fused: parseList('fused', values.fused, byName(FUSED)),
    rounds: rehearse ? 2 : parseCount('rounds', values.rounds ?? (quick ? '3' : '10')),
    calls: rehearse ? 2 : 10,
    flushBytes: rehearse ? 2 ** 16 : 2 ** 29,
    budget,
    compileSeconds: rehearse && values.compile === undefined ? 1 : parseCompile(values.compile, budget),
    rehearse,
    out,
    json,
    help,
  };
}
