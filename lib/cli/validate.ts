/** `cuda-batchnorm validate`: every backend that works here against a float64 reference, and ours against cuDNN. */

import { writeFile } from 'node:fs/promises';
import { addon } from '../addon';
import { Device } from '../index';
import { fits } from './pattern';
import { prepareReport } from './report_file';
import { UsageError } from './usage';
import { builtInCases, type Case, casesOf } from './validate/cases';
import { type CaseResult, isFailure, judge } from './validate/judge';
import { HELP, parseOptions, type ValidateOptions } from './validate/options';
import { makeProgress } from './validate/progress';
import { makeReport } from './validate/report';
import { readShapes } from './validate/shapes';
import { type Subject, subjectsOn } from './validate/subject';
import { type Summary, summarize } from './validate/summary';
import { describe, describeFailures, forPrograms } from './validate/text';

/** All that the command found out. */
export interface Validation {
  options: ValidateOptions;
  subjects: readonly Subject[];
  results: readonly CaseResult[];
  summary: Summary;
  /** Shapes that were asked for and did not run, and why. */
  leftOut: readonly string[];
  /** Backends that do not work here, and why. */
  notCompared: readonly NotCompared[];
  seconds: number;
}

/** Runs the command with the arguments after its name. */
export async function run(args: string[]): Promise<void> {
  const options = parseOptions(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  if (options.report !== undefined) await prepareReport(options.report);
  const { devices, broken } = options.device === 'auto' ? allDevices() : { devices: [Device.get(options.device)], broken: [] };
  const validation = await validate(options, subjectsOn(devices), broken);
  process.stdout.write(options.json ? forPrograms(validation) : describe(validation));
  process.stderr.write(describeFailures(validation));
  if (validation.summary.failures.length > 0) process.exitCode = 1;
  if (options.report !== undefined) await writeFile(options.report, makeReport(validation)); // last: where it fails, all else is told
}

interface NotCompared {
  name: string;
  reason: string;
}

/** A GPU that is there may not open; then the others do not pass for all. */
function allDevices(): { devices: Device[]; broken: NotCompared[] } {
  const devices: Device[] = [];
  const broken: NotCompared[] = [];
  for (const name of addon().deviceNames()) {
    try {
      devices.push(Device.get(name));
    } catch (error) {
      broken.push({ name, reason: (error as Error).message });
    }
  }
  return { devices, broken };
}

/** Runs the problems that the options choose on these subjects; `broken` are devices that were to be among them. */
export async function validate(
  options: ValidateOptions,
  subjects: readonly Subject[],
  broken: readonly NotCompared[] = [],
): Promise<Validation> {
  const start = performance.now();
  const { cases, leftOut } = await chooseCases(options);
  const progress = makeProgress(cases.length, options.json);
  const results: CaseResult[] = [];
  let failed = 0;
  for (const one of cases) {
    const result = await judge(one, subjects, options.seed);
    results.push(result);
    if (result.outcomes.some(isFailure)) failed++;
    progress.step(results.length, failed);
  }
  progress.end();
  const missing = Device.report().flatMap(({ name, available, reason }) => (available ? [] : [{ name, reason: reason ?? 'unknown' }]));
  const notCompared = [...missing, ...broken];
  const seconds = (performance.now() - start) / 1000;
  return { options, subjects, results, summary: summarize(results), leftOut, notCompared, seconds };
}

async function chooseCases({ quick, shapes, only }: ValidateOptions): Promise<{ cases: Case[]; leftOut: string[] }> {
  const given = shapes === undefined ? undefined : await readShapes(shapes);
  const all = given ? casesOf(given.shapes, quick) : builtInCases(quick);
  const cases = only === undefined ? all : all.filter(({ name }) => fits(name, only));
  if (cases.length === 0) {
    const hint = only?.includes('*') ? '' : `; for a part of the name write '*${only}*'`;
    throw new UsageError(`no problem is called '${only}'${hint}. A name: ${all[0]!.name}`);
  }
  return { cases, leftOut: given?.leftOut ?? [] };
}
