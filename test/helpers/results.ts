/** What was measured and committed, for the tests that hold the README to it. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');

/** The newest run of `bench/results/cpu` whose file name ends so. */
export function newestResult<Report>(ending: string): Report {
  const folder = join(ROOT, 'bench/results/cpu');
  const newest = readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .at(-1)!;
  return JSON.parse(readFileSync(join(folder, newest), 'utf8')) as Report;
}

export const readme = (): string => readFileSync(join(ROOT, 'README.md'), 'utf8');
