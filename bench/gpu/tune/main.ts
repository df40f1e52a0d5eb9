/** The tuning of the plan's constants: see options.ts for its command line. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../../../lib/cli/usage';
import type { Device } from '../../../lib/index';
import { Budget } from '../budget';
import { Clock } from '../clock';
import { openGpu } from '../gpu';
import { problemName } from '../problem';
import { problems, tinyProblems } from './candidates';
import { constantsIn, withRow } from './constants';
import { measureDirect } from './direct';
import { measurePoints } from './measure';
import { HELP, type Options, parseOptions } from './options';
import { capabilityOf, checkSameGpu, gpuOf, type Recording, readRecording } from './recording';
import { commentOf, describe } from './report';
import { modelOf, type Tuned, tune } from './tune';

const TABLE = join(__dirname, '../../../native/cuda/tuning.h');

async function record({ rehearse, batches, rounds, budget }: Options, device: Device): Promise<Recording> {
  const stream = device.createStream();
  const clock = await Clock.start(device, stream, rehearse ? 2 ** 16 : 2 ** 29);
  const left = new Budget(budget);
  return {
    date: new Date().toISOString(),
    gpu: gpuOf(device),
    capability: capabilityOf(device),
    direct: await measureDirect(device, stream, clock, { rounds, copyBytes: rehearse ? 2 ** 16 : 2 ** 30, tinyCalls: rehearse ? 2 : 100 }),
    points: await measurePoints(rehearse ? tinyProblems() : problems(batches), {
      device,
      stream,
      clock,
      rounds,
      budget: left,
      onProblem: (problem) => console.error(problemName(problem)),
    }),
  };
}

function reread(file: string, device: Device): Recording {
  const recording = readRecording(file);
  checkSameGpu(recording, device);
  return recording;
}

const toJson = (report: Recording | Tuned): string => `${JSON.stringify(report, null, 2)}\n`;

function keep(report: Recording | Tuned, { out }: Options): void {
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, toJson(report));
}

function show(tuned: Tuned, table: string, { out, json, write }: Options): void {
  process.stdout.write(json ? toJson(tuned) : `${describe(tuned)}\n`);
  if (write) writeFileSync(TABLE, withRow(table, ...tuned.capability, tuned.constants.after, commentOf(tuned)));
  console.error(`Written: ${out}${write ? ` and ${TABLE}; now npm run format, and build the addon anew` : ''}`);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  // What an emulated GPU predicts is right: only its times are none.
  const device = openGpu(options.rehearse || options.from !== undefined);
  const recording = options.from === undefined ? await record(options, device) : reread(options.from, device);
  if (!options.rehearse) keep(recording, options); // first of all: to fit takes minutes, and can be done again
  const table = readFileSync(TABLE, 'utf8');
  const tuned = tune(modelOf(device, recording.points), recording, constantsIn(table, ...recording.capability));
  if (options.rehearse) {
    describe(tuned);
    console.log(`Rehearsed on ${device.description}: ${tuned.points.length} points; no times are shown and nothing is written`);
    return;
  }
  keep(tuned, options);
  show(tuned, table, options);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error("'npm run tune:gpu -- --help' lists the options");
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
