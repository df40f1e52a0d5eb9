/** The command line of the lab. */

import { type Experiment, experiments } from '../../lab';
import { fits } from '../pattern';
import { readCommandLine, readDevice, readSeed, UsageError } from '../usage';

export interface LabOptions {
  quick: boolean;
  /** What is to be done, in the order of the report. */
  chosen: readonly Experiment[];
  seed: number;
  data: string | undefined;
  device: string;
  report: string | undefined;
  json: boolean;
}

export const HELP = `Usage: cuda-batchnorm lab [options]

Puts what is said of batch norm to the test: each claim is an experiment on small pictures of digits, with a plot, a number and a verdict.
A verdict follows from the numbers by a criterion that was set before: 'shown', or 'not shown'. Networks are small and trainings short, so a
verdict is about these networks and this data; other seeds (--seed) tell how much of it is chance.

  --quick            smaller and fewer trainings: a minute or two instead of some seven on two cores
  --only NAMES       only these experiments, separated by commas; * stands for anything: 'depth,*-rate'
  --seed N           of pictures, weights and order (1). The same seed gives the same numbers
  --data FILE        on the digits of this file: lines of 64 values from 0 to 16 and the digit, separated by commas, as in optdigits of the
                     UCI repository; a line of names on top may be there. A fifth is held back for testing. Without it, digits are drawn
  --device NAME      of batch norm: auto, cpu, cuda, cuda:N (auto); the rest of the networks is computed by Node.js
  --report FILE      write an HTML page with all plots, numbers and verdicts, which needs nothing else
  --json             print results as JSON on stdout and nothing else
  --help             print this

Experiments:

${experiments.map(({ name, claim }) => `  ${name.padEnd(18)} ${claim}`).join('\n')}

Status: 0 when all experiments were done, whatever they show; 1 on an error; 2 on a wrong call.
`;

/** undefined when help was asked for. */
export function parseOptions(args: string[]): LabOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  return {
    quick: values.quick ?? false,
    chosen: choose(values.only ?? '*'),
    seed: readSeed(values.seed ?? '1'),
    data: values.data,
    device: readDevice(values.device ?? 'auto'),
    report: values.report,
    json: values.json ?? false,
  };
}

function parse(args: string[]) {
  return readCommandLine(args, {
    quick: { type: 'boolean' },
    only: { type: 'string' },
    seed: { type: 'string' },
    data: { type: 'string' },
    device: { type: 'string' },
    report: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
}

function choose(only: string): Experiment[] {
  const patterns = only.split(',').map((pattern) => pattern.trim());
  const unknown = patterns.find((pattern) => !experiments.some(({ name }) => fits(name, pattern)));
  if (unknown !== undefined)
    throw new UsageError(`no experiment is called '${unknown}'; there are: ${experiments.map(({ name }) => name).join(', ')}`);
  return experiments.filter(({ name }) => patterns.some((pattern) => fits(name, pattern)));
}
