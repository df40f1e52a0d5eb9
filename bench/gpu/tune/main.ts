/** The tuning of the plan's constants: see options.ts for its command line. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../../../lib/cli/usage';
import { nativeDevice } from '../../../lib/device';
import type { Device } from '../../../lib/index';
import { Budget } from '../budget';
import { Clock } from '../clock';
import { openGpu } from '../gpu';
import { problemName } from '../problem';
import { explain, problems, tinyProblems } from './candidates';
import { asChoice, CONSTANTS, type Constants, constantsIn, withRow } from './constants';
import { errorOf, fitConstants, type Model } from './fit';
import { measurePoints, type Point } from './measure';
import { HELP, type Options, parseOptions } from './options';
import { commentOf, describe, regretOf, type Tuned } from './report';

const TABLE = join(__dirname, '../../../native/cuda/tuning.h');

/** The plan's prediction of each point, under other constants. */
export function modelOf(device: Device, points: readonly Point[]): Model {
  const { native } = nativeDevice(device);
  return (constants) => {
    const predicted = points.map(
      ({ problem, operation, choice }) =>
        explain(native, problem, operation, [choice, asChoice(constants)].filter(Boolean).join(',')).seconds,
    );
    native.force('');
    return predicted;
  };
}

/** `H200, compute capability 9.0, 139 GiB` */
export function capabilityOf({ description }: Device): [number, number] {
  const [, major, minor] = /compute capability (\d+)\.(\d+)/.exec(description)!;
  return [Number(major), Number(minor)];
}

export function tune(device: Device, points: Point[], before: Constants): Tuned {
  const model = modelOf(device, points);
  const measured = points.map(({ seconds }) => seconds);
  const after = fitConstants(model, measured, before, CONSTANTS);
  const [was, is] = [model(before), model(after)];
  return {
    date: new Date().toISOString(),
    gpu: device.description.split(',')[0]!,
    capability: capabilityOf(device),
    points,
    before,
    after,
    error: { before: errorOf(was, measured), after: errorOf(is, measured) },
    regret: { before: regretOf(points, was), after: regretOf(points, is) },
  };
}

async function measure(options: Options, device: Device): Promise<Point[]> {
  const stream = device.createStream();
  return measurePoints(options.rehearse ? tinyProblems() : problems(options.batches), {
    device,
    stream,
    clock: await Clock.start(device, stream, options.rehearse ? 2 ** 16 : 2 ** 29),
    rounds: options.rounds,
    budget: new Budget(options.budget),
    onProblem: (problem) => console.error(problemName(problem)),
  });
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const device = openGpu(options.rehearse);
  const points =
    options.from === undefined ? await measure(options, device) : (JSON.parse(readFileSync(options.from, 'utf8')) as Tuned).points;
  const table = readFileSync(TABLE, 'utf8');
  const tuned = tune(device, points, constantsIn(table, ...capabilityOf(device)));
  if (options.rehearse) {
    console.log(`Rehearsed on ${device.description}: ${points.length} points; no times are shown and nothing is written`);
    return;
  }
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify(tuned, null, 2)}\n`);
  console.log(options.json ? JSON.stringify(tuned, null, 2) : describe(tuned));
  if (options.write) writeFileSync(TABLE, withRow(table, ...tuned.capability, tuned.after, commentOf(tuned)));
  console.error(`Written: ${options.out}${options.write ? ` and ${TABLE}; build the addon anew` : ''}`);
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    if (error instanceof UsageError) console.error('Try: npm run tune:gpu -- --help');
    process.exitCode = error instanceof UsageError ? 2 : 1;
  });
}
