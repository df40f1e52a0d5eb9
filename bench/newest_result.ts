/** What was measured and committed. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The newest run of `bench/results/cpu` whose file name ends so. */
export function newestResult<Report>(ending: string): Report {
  const folder = join(__dirname, 'results/cpu');
  const newest = readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .at(-1)!;
  return JSON.parse(readFileSync(join(folder, newest), 'utf8')) as Report;
}
