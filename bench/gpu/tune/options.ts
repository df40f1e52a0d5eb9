/** The command line of the tuning. */

import { readCommandLine, UsageError } from '../../../lib/cli/usage';
import { parseCount } from '../../cpu/options';

export const HELP = `Usage: npm run tune:gpu -- [options]

Finds the constants by which the plan of the CUDA kernels predicts times. Measures a copy, tiny kernels back to back, and many ways to
share the work of ResNet-50's batch norms among blocks, out of a cold cache. The copy gives bandwidth and the tiny kernels give launch; the
other constants of native/cuda/tuning.h are fitted to the rest. Prints what that makes of each problem's plan, and the row of this GPU's
compute capability.

  --write           also write the row into native/cuda/tuning.h; then npm run format, and the addon is to be built anew. Refused where the
                    plans would on average take longer, beside the best that was measured, than they do now
  --force           write it all the same
  --measure-only    fit nothing, which takes minutes of the CPU: --from FILE does that later, elsewhere
  --from FILE       fit to the points of an earlier run instead of measuring; where there is no GPU the emulated one of its kind will do:
                    CUDA_BATCHNORM_VARIANT=emulated CUDA_BATCHNORM_EMULATED_GPU=H200
  --batches LIST    of pictures (default: 32,256)
  --rounds N        samples of everything (default: 5)
  --budget SECONDS  how long measuring may take (default: 420)
  --out FILE        where the points and the constants go as JSON (default: reports/tune/gpu.json)
  --json            print that JSON instead of text
  --rehearse        run all of it on tiny shapes, show no times and write nothing: this also works on the emulated GPU
  --help            this text
`;

export interface Options {
  write: boolean;
  force: boolean;
  measureOnly: boolean;
  from: string | undefined;
  batches: readonly number[];
  rounds: number;
  budget: number;
  out: string;
  json: boolean;
  rehearse: boolean;
  help: boolean;
}

export function parseOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const {
    batches,
    rounds,
    budget,
    out,
    from,
    'measure-only': measureOnly,
    ...values
  } = readCommandLine(args, {
    write: flag,
    force: flag,
    'measure-only': flag,
    from: text,
    batches: text,
    rounds: text,
    budget: text,
    out: text,
    json: flag,
    rehearse: flag,
    help: flag,
  });
  if (values.rehearse && (values.write || from !== undefined)) {
    throw new UsageError('Expected --rehearse without --write and --from, because it measures nothing');
  }
  if (measureOnly && (values.write || from !== undefined)) {
    throw new UsageError('Expected --measure-only without --write and --from, because it fits nothing');
  }
  if (values.force && !values.write) throw new UsageError('Expected --write with --force');
  return {
    ...values,
    from,
    measureOnly,
    batches: (batches ?? '32,256').split(',').map((batch) => parseCount('batches', batch)),
    rounds: values.rehearse ? 1 : parseCount('rounds', rounds ?? '5'),
    budget: parseCount('budget', budget ?? '420'),
    out: out ?? 'reports/tune/gpu.json',
  };
}
