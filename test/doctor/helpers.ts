/** The doctor as users call it: in a process of its own. */

import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect } from 'chai';
import type { Diagnosis } from '../../lib/cli/doctor/diagnosis';
import type { Finding } from '../../lib/cli/doctor/finding';

const MAIN = resolve(__dirname, '../../lib/cli/main.ts');

/** `settings` are environment variables. */
export function doctor(settings: NodeJS.ProcessEnv, ...args: string[]) {
  const env = { ...process.env, ...settings };
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'doctor', ...args], { encoding: 'utf8', env });
}

/** What it says as JSON, with the exit status that goes with it. */
export function diagnosisOf(settings: NodeJS.ProcessEnv): Diagnosis {
  const { status, stdout, stderr } = doctor(settings, '--json');
  expect(stderr).to.equal('');
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  expect(status).to.equal(diagnosis.works ? 0 : 1);
  return diagnosis;
}

export function findingOf({ findings }: Diagnosis, subject: string): Finding {
  const found = findings.find((finding) => finding.subject === subject);
  if (found === undefined) throw new Error(`no finding about ${subject} among ${findings.map((finding) => finding.subject).join(', ')}`);
  return found;
}
