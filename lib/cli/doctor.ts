/** `cuda-batchnorm doctor`: what works here, and why what does not work does not. */

import { diagnose } from './doctor/diagnosis';
import { gatherFacts } from './doctor/facts';
import { layOut } from './doctor/page';
import { readCommandLine } from './usage';

const HELP = `Usage: cuda-batchnorm doctor [options]

Says what batch norm can run on here: Node.js, the native addon, the CPU, CUDA, NVIDIA's driver, the GPUs, cuDNN and TensorFlow.js;
and, where something is missing or does not work, why, what that means and what to do about it. It changes nothing.

  --json             print the findings as JSON
  --help             print this

Exit status: 0 where batch norm works, if only on the CPU; 1 where it does not; 2 for a wrong call.
`;

const SOON = 5_000;
const WAITING = 'Waiting for a driver or a library to answer; each gets a minute.\n';

const NARROWEST = 60;
const USUAL = 80; // where there is no terminal, or one that does not know
const WIDEST = 100;

/** Runs the command with the arguments after its name. */
export async function run(args: string[]): Promise<void> {
  const { help, json } = parse(args);
  if (help) {
    process.stdout.write(HELP);
    return;
  }
  const notice = setTimeout(() => process.stderr.write(WAITING), SOON);
  const diagnosis = diagnose(await gatherFacts());
  clearTimeout(notice);
  process.stdout.write(json ? `${JSON.stringify(diagnosis, null, 2)}\n` : layOut(diagnosis, style()));
  if (!diagnosis.works) process.exitCode = 1;
}

function style() {
  const { columns, isTTY } = process.stdout;
  return { width: Math.min(Math.max(columns || USUAL, NARROWEST), WIDEST), colour: isTTY === true && process.stdout.hasColors() };
}

function parse(args: string[]) {
  return readCommandLine(args, { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } });
}
