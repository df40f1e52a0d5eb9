/** `cuda-batchnorm validate` as users call it, and its JSON. */

import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { device } from '../helpers/device';

const MAIN = resolve(__dirname, '../../lib/cli/main.ts');
const SABOTAGE = resolve(__dirname, 'sabotage.cjs');

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface Json {
  subjects: string[];
  cases: {
    name: string;
    operation: string;
    residual: boolean;
    outcomes: { subject: string; verdict: string; message?: string; measured: { quantity: string; worst: { share: number } }[] }[];
  }[];
  summary: { cases: number; rows: { subject: string; quantity: string; absolute: number; share: number }[]; failures: Failure[] };
  notCompared: { name: string; reason: string }[];
  passed: boolean;
}

export interface Failure {
  case: string;
  subject: string;
  what: string;
  again: string;
}

/** On the tested device; `sabotage` breaks one result of the addon. */
export function validate(args: readonly string[], sabotage?: string): Outcome {
  const preloaded = sabotage === undefined ? [] : ['--require', SABOTAGE];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', ...preloaded, MAIN, 'validate', '--device', device.name, ...args],
    { encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, SABOTAGE: sabotage } },
  );
  return { status, stdout, stderr };
}
