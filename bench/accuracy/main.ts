/** How exact ours and others are: see options.ts for the command line. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { UsageError } from '../../lib/cli/usage';
import { startContenders } from './contenders';
import { HELP, type Options, parseOptions } from './options';
import { MEANS, QUICK_SHAPE, SHAPE } from './problem';
import { makeReport, type Report, toJson } from './report';
import { meanName, tableText } from './table';

async function run({ quick, device }: Options): Promise<Report> {
  const field = await startContenders(device, process.env.BENCH_PYTHON);
  for (const { name, reason } of field.leftOut) console.error(`${name} is left out: ${reason}`);
  try {
    let count = 0;
    const total = Object.values(MEANS).flat().length;
    return await makeReport(field, quick ? QUICK_SHAPE : SHAPE, (dtype, mean) =>
      console.error(`${++count}/${total}: ${dtype}, mean ${meanName(mean)}`),
    );
  } finally {
    for (const contender of field.contenders) contender.close();
  }
}

function print({ machine, shape, implementations, tables }: Report, quick: boolean): void {
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}`);
  for (const { name, version, note } of implementations) console.log(`${[name, version].filter(Boolean).join(' ')}: ${note}`);
  console.log(
    `Training on ${shape.join('×')} data of deviation 1, γ = 1, β = 0, output gradient of deviation 1; errors are those against float64${quick ? '\nQUICK: a small batch; figures of the full one are others' : ''}`,
  );
  for (const table of tables) console.log(`\n${tableText(table)}`);
}

function write(report: Report, out: string): void {
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, toJson(report));
  console.error(`Written: ${out}`);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const report = await run(options);
  for (const { implementation, layout, dtype, mean, reason } of report.failures)
    console.error(`No answer from ${implementation}, ${layout}, ${dtype}, mean ${meanName(mean)}: ${reason}`);
  if (options.json) process.stdout.write(toJson(report));
  else print(report, options.quick);
  if (options.out !== undefined) write(report, options.out);
  if (report.tables.some(({ rows }) => rows.some(({ met }) => met === false))) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error("'npm run bench:accuracy -- --help' lists the options");
  process.exit(error instanceof UsageError ? 2 : 1); // at once: a Python that was started ends with the pipe to it
});
