/** The command line of validate. */

import { readCommandLine, readDevice, readSeed } from '../usage';

export interface ValidateOptions {
  quick: boolean;
  shapes: string | undefined;
  only: string | undefined;
  seed: number;
  device: string;
  report: string | undefined;
  json: boolean;
}

/** Where the tolerances come from. */
export const TOLERANCES = `Tolerances are derived from the arithmetic, not fitted to results. With u half a unit in the last place of 1 in the type that is computed
in (float64 where all tensors are float64, else float32), a normalized value may be off by 12 u of itself and 12 u of the channel's
deviation, whatever the mean; a sum over a channel by 12 u of the sum of its terms' magnitudes; an exponential or an error function adds
6 u; every further sum or product a rounding of its terms; all of it is carried through to each quantity. Float64's mean is one number,
whose own rounding counts too. Storing a result rounds it once, which costs nothing: an error is what remains of the distance when the
nearest value that would be stored alike is taken. 'share' is that error over its tolerance; above 1 a result fails.
Relative errors and errors in units of the last place (ULP) grow without bound near zero, and are shown, not judged.`;

export const HELP = `Usage: cuda-batchnorm validate [options]

Runs batch norm on every device and with every backend that works here, and compares each result with a reference in float64, and ours
with cuDNN's. Operations: training forward with running statistics, inference forward, backward after training, backward with constant
statistics; in float32, float64, float16 and bfloat16; channels first, last and 2-D; all activations; with and without a residual; on
ordinary data and on data chosen to break an implementation.

  --quick            fewer and smaller problems: seconds instead of a minute or two
  --shapes FILE      problems of these shapes, channels second, in place of the built-in ones: a JSON list such as [[32,64,56,56],[64,10]],
                     or {"shapes": {"name": [...]}} whose entries may also be {"shape_nc_spatial": [32,64,56,56], "eps": 1e-5}.
                     With --quick: float32 and channels first alone
  --only PATTERN     only the problems of this name; * stands for anything: '*/bfloat16/*'
  --seed N           of all data (1). Seed and name of a problem give its data, whatever else runs
  --device NAME      auto (all that work here), cpu, cuda, cuda:N
  --report FILE      write an HTML page with heat map, scatter plots and tables, which needs nothing else
  --json             print results as JSON on stdout and nothing else
  --help             print this

${TOLERANCES}

What cuDNN does not support is listed and is no failure. Where cuDNN itself is beyond our tolerances that is reported, and is no failure
either: it is what we compare with.

Status: 0 all passed, 1 something failed, 2 a wrong call.
`;

/** undefined when help was asked for. */
export function parseOptions(args: string[]): ValidateOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  return {
    quick: values.quick ?? false,
    shapes: values.shapes,
    only: values.only,
    seed: readSeed(values.seed ?? '1'),
    device: readDevice(values.device ?? 'auto'),
    report: values.report,
    json: values.json ?? false,
  };
}

function parse(args: string[]) {
  return readCommandLine(args, {
    quick: { type: 'boolean' },
    shapes: { type: 'string' },
    only: { type: 'string' },
    seed: { type: 'string' },
    device: { type: 'string' },
    report: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
}

/** The command that runs this one problem again. */
export function reproduction({ quick, shapes, seed }: ValidateOptions, name: string): string {
  const given = [...(quick ? ['--quick'] : []), ...(shapes === undefined ? [] : ['--shapes', quoted(shapes)])];
  return ['npx cuda-batchnorm validate', ...given, '--seed', String(seed), '--only', quoted(name)].join(' ');
}

function quoted(word: string): string {
  return /^[\w./:=+@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
