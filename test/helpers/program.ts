/** Programs of the documents and examples, run as a user runs them, but on lib/ as it is now. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');
const NODE = ['--import', './test/helpers/from_source.mjs', '--import', 'tsx'];

/** On the CPU unless `settings`, environment variables, say otherwise. */
const ON_CPU = { CUDA_VISIBLE_DEVICES: '', CUDA_BATCHNORM_EMULATED_DEVICES: '0' };

/** What the program printed; throws with all of it where the program failed. */
export function outputOf(file: string, args: readonly string[] = [], settings: NodeJS.ProcessEnv = ON_CPU): string {
  const env = { ...process.env, ...settings, NO_COLOR: '1' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [...NODE, file, ...args], { cwd: ROOT, encoding: 'utf8', env });
  if (status !== 0) throw new Error(`${[file, ...args].join(' ')} ended with status ${status}\n${stdout}\n${stderr}`);
  return stdout;
}
