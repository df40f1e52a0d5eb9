/** What a benchmark shows while it runs and leaves behind. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';

/** A bar over the rounds of one problem; a line where there is no terminal to draw it on. */
export async function withProgress<T>(rounds: number, problem: string, work: (onRound: () => void) => Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) console.error(problem);
  const bar = new SingleBar({ format: '{bar} {value}/{total} rounds  {problem}', clearOnComplete: true }, Presets.shades_classic);
  bar.start(rounds, 0, { problem });
  try {
    return await work(() => bar.increment());
  } finally {
    bar.stop();
  }
}

/** The JSON file `out`, and beside it the plot. */
export function writeReport(report: object, plot: string, out: string): void {
  const picture = `${out.replace(/\.json$/, '')}.svg`;
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(picture, plot);
  console.error(`\nWritten: ${out} and ${picture}`);
}
