/** The tuning of the plan's constants: see options.ts for its command line. */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../../../lib/cli/usage';
import type { Device } from '../../../lib/index';
import { openGpu } from '../gpu';
import { constantsIn, withRow } from './constants';
import { checkGain } from './decisions';
import { HELP, type Options, parseOptions } from './options';
import { record } from './record';
import { checkSameGpu, type Recording, readRecording } from './recording';
import { commentOf, describe, shortfalls } from './report';
import { modelOf, type Tuned, tune } from './tune';

const TABLE = join(__dirname, '../../../native/cuda/tuning.h');

function reread(file: string, device: Device): Recording {
  const recording = readRecording(file);
  checkSameGpu(recording, device);
  return recording;
}

const toJson = (report: Recording | Tuned): string => `${JSON.stringify(report, null, 2)}\n`;

/** Whole at any time, also where the process is killed meanwhile. */
function keep(report: Recording | Tuned, { out, rehearse }: Options): void {
  if (rehearse) return;
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(`${out}.tmp`, toJson(report));
  renameSync(`${out}.tmp`, out);
}

function show(tuned: Tuned, { out, json }: Options): void {
  process.stdout.write(json ? toJson(tuned) : `${describe(tuned)}\n`);
  console.error(`Written: ${out}`);
}

function writeRow(tuned: Tuned, table: string, { force }: Options): void {
  if (!force) checkGain(tuned);
  writeFileSync(TABLE, withRow(table, ...tuned.capability, tuned.constants.after, commentOf(tuned)));
  console.error(`Written: ${TABLE}; now npm run format, and build the addon anew`);
}

function rehearsed(device: Device, { points }: Recording): void {
  console.log(`Rehearsed on ${device.description}: ${points.length} points; no times are shown and nothing is written`);
}

function showPoints(recording: Recording, { out, json }: Options): void {
  if (json) process.stdout.write(toJson(recording));
  console.error(`Written: ${out}, ${recording.points.length} points; npm run tune:gpu -- --from fits to them`);
}

/** Fits the constants to what was measured. */
function fitTo(recording: Recording, device: Device, options: Options): void {
  const table = readFileSync(TABLE, 'utf8');
  const tuned = tune(modelOf(device, recording.points), recording, constantsIn(table, ...recording.capability));
  if (options.rehearse) {
    describe(tuned);
    return;
  }
  keep(tuned, options);
  show(tuned, options);
  if (options.write) writeRow(tuned, table, options);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  // What an emulated GPU predicts is right: only its times are none.
  const device = openGpu(options.rehearse || options.from !== undefined);
  const { from } = options;
  const recording = from === undefined ? await record(options, device, (part) => keep(part, options)) : reread(from, device);
  for (const line of shortfalls(recording)) console.error(line);
  if (recording.points.length === 0) throw new Error('Expected at least one choice to be measured but none was');
  if (!options.measureOnly) fitTo(recording, device, options);
  if (options.rehearse) rehearsed(device, recording);
  else if (options.measureOnly) showPoints(recording, options);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error("'npm run tune:gpu -- --help' lists the options");
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
