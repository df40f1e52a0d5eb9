/** The demo's command line. */

import { readCommandLine, UsageError } from '../usage';

export interface DemoOptions {
  data: string | undefined;
  test: string | undefined;
  seed: number;
  epochs: number;
  batchSize: number;
  device: string;
  report: string;
  model: string;
  json: boolean;
  quick: boolean;
}

export const HELP = `Usage: cuda-batchnorm demo [options]

Trains a digit classifier (linear -> batch norm -> ReLU, four layers deep) with and without batch norm, at a moderate and at a high
learning rate; compares them, saves the best network, loads it again, and writes an HTML report with plots.

  --data FILE        train on this CSV: values, the class (0, 1, ...) last; a line of names on top may be there. Without it, digits are drawn
  --test FILE        test on this CSV; without it, a fifth of --data is held back
  --seed N           of pictures, weights and order (1)
  --epochs N         passes over the training data (10; 3 with --quick)
  --batch-size N     rows per step (64)
  --device NAME      of batch norm: auto, cpu, cuda, cuda:N (auto)
  --report FILE      where the report goes (reports/demo.html)
  --model FOLDER     where the trained network goes (reports/demo-model)
  --quick            less data, fewer epochs
  --json             print results as JSON on stdout and nothing else
  --help             print this
`;

/** undefined when help was asked for. */
export function parseOptions(args: string[]): DemoOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  if (values.test !== undefined && values.data === undefined)
    throw new UsageError('--test needs --data: the rendered digits have a test part of their own');
  const quick = values.quick ?? false;
  return {
    data: values.data,
    test: values.test,
    seed: integer(values.seed, '--seed', 0) ?? 1,
    epochs: integer(values.epochs, '--epochs', 1) ?? (quick ? 3 : 10),
    batchSize: integer(values['batch-size'], '--batch-size', 2) ?? 64, // one row alone has no variance
    device: values.device ?? 'auto',
    report: values.report ?? 'reports/demo.html',
    model: values.model ?? 'reports/demo-model',
    json: values.json ?? false,
    quick,
  };
}

function parse(args: string[]) {
  return readCommandLine(args, {
    data: { type: 'string' },
    test: { type: 'string' },
    seed: { type: 'string' },
    epochs: { type: 'string' },
    'batch-size': { type: 'string' },
    device: { type: 'string' },
    report: { type: 'string' },
    model: { type: 'string' },
    json: { type: 'boolean' },
    quick: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
}

function integer(text: string | undefined, name: string, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= least && value < 2 ** 31) return value;
  throw new UsageError(`expected an integer from ${least} for ${name} but received '${text}'`);
}
