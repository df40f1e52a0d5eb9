/** The command line of the accuracy benchmark. */

import { readCommandLine, UsageError } from '../../lib/cli/usage';
import { TARGET } from './measure';

export const HELP = `Usage: npm run bench:accuracy -- [options]

Prints how far batch normalization in training is off float64, forward and backward, on 32×16×28×28 data of deviation 1 about several
means: in float32, float16 and bfloat16, channels first and channels last. Ours on the CPU, and on cuda:0 where that works, beside cuDNN,
PyTorch (on the CPU and on its CUDA) and TensorFlow.js (wasm), as far as they are at hand; who is left out, and why, goes to stderr.
Under every table stands how ours does against the best of the others. What an emulated GPU computed is called so; cuDNN is there played by
a stand-in, with which nothing is compared.

Ends with status 1 where our training output in float32 is off by more than ${TARGET.toExponential()}.

  --quick         a batch of 4 instead of 32: other figures than the full table's, in less time
  --device NAME   of ours, this device alone, as cpu or cuda:0; cuDNN takes part where it is a CUDA device
  --out FILE      write the JSON there too
  --json          print the JSON instead of tables; bench/results/README.md describes it
  --help          this text

Environment: BENCH_PYTHON=/path/python names a Python with torch, for PyTorch's rows.
`;

export interface Options {
  quick: boolean;
  device: string | undefined;
  out: string | undefined;
  json: boolean;
  help: boolean;
}

export function parseOptions(args: readonly string[]): Options {
  const { quick = false, device, out, json = false, help = false } = parse(args);
  if (device !== undefined && !/^(auto|cpu|cuda(:\d+)?)$/.test(device))
    throw new UsageError(`expected auto, cpu, cuda or cuda:N for --device but received '${device}'`);
  return { quick, device, out, json, help };
}

function parse(args: readonly string[]) {
  return readCommandLine(args, {
    quick: { type: 'boolean' },
    device: { type: 'string' },
    out: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  });
}
