/** The command line as users call it: in a process of its own. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const MAIN = resolve(__dirname, '../../lib/cli/main.ts');

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export function cudaBatchnorm(...args: string[]): Outcome {
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
}

/** A folder that is removed when the tests around it are done. */
export function temporaryFolder(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'cuda-batchnorm-'));
  after(() => rmSync(folder, { recursive: true }));
  return (name) => join(folder, name);
}
