/** The CPU benchmark: see options.ts for its command line. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { UsageError } from '../../lib/cli/usage';
import { NATIVE } from './helper';
import type { Found, Order } from './launch';
import { fileStem } from './machine';
import { HELP, type Options, parseOptions } from './options';
import { writeReport } from './output';
import { plot } from './plot';
import { problemName } from './problem';
import { poolReports, type Report } from './report';
import { missedBy, overheadLine, problemTable } from './table';

/** Measures once, with all contenders started anew. */
async function launch(order: Order): Promise<Found> {
  const child = fork(join(__dirname, 'launch.ts'), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let found: Found | undefined;
  child.once('message', (message: Found) => {
    found = message;
  });
  child.send(order);
  await once(child, 'disconnect'); // when all messages are here, which 'exit' does not promise
  if (!found) throw new Error('Stopped: a launch ended without results');
  return found;
}

async function measureLaunches(options: Options): Promise<Report> {
  const reports: Report[] = [];
  let { only } = options;
  for (let i = 1; i <= options.launches; i++) {
    const found = await launch({ options: { ...options, only }, title: `launch ${i} of ${options.launches}` });
    only = found.only; // who is not here was told of once
    reports.push(found.report);
  }
  return poolReports(reports);
}

function print(report: Report): void {
  const { machine, threads, launches, rounds } = report;
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${threads} threads, ${launches} × ${rounds} rounds`);
  console.log(
    `× copy: in multiples of memcpy by ${threads} threads, each on its own core with always the same part, on huge pages, timed just before every burst`,
  );
  for (const { name, version, note } of report.implementations) console.log(`${name} ${version}: ${note}`);
  for (const result of report.problems) console.log(`\n${problemTable(result, result.latency)}`);
  if (report.overhead) console.log(`\n${overheadLine(report.overhead)}\n${verdict(report)}`);
}

function verdict({ problems: results }: Report): string {
  const held = results.flatMap((problem) => problem.results.filter(({ met }) => met !== undefined).map((result) => ({ problem, result })));
  const missed = held.filter(({ result }) => !result.met);
  return [
    `\nTargets met: ${held.length - missed.length} of ${held.length}`,
    ...missed.map(({ problem, result }) => `  missed: ${problemName(problem)}, ${result.operation}: ${missedBy(result)}`),
  ].join('\n');
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const report = await measureLaunches(options);
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else print(report);
  // What ours is made of is no rival of it.
  const parts: readonly string[] = Object.values(NATIVE).map(({ name }) => name);
  const names = report.implementations.map(({ name }) => name).filter((name) => !parts.includes(name));
  const out = options.out ?? join('reports', 'bench', 'cpu', `${fileStem(new Date(report.date), report.machine.cpu)}.json`);
  writeReport(report, plot(report.problems, names), out);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error("'npm run bench -- --help' lists the options");
  process.exit(error instanceof UsageError ? 2 : 1);
});
