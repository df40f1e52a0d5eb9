/** Asks a program in a process of its own. Where the process ends or falls silent that is the answer, and the rest is asked of a new one. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Answer } from './answers';

type Heard = Map<string, Answer<unknown>>;

/** The answers to all steps. `program` takes steps as arguments and answers in their order, each within `patience` milliseconds. */
export async function interview(program: string, steps: readonly string[], patience: number): Promise<Heard> {
  const heard: Heard = new Map();
  for (;;) {
    const left = steps.filter((step) => !heard.has(step));
    if (left.length === 0) return heard;
    const end = await runOnce(program, left, patience, heard);
    const unanswered = left.find((step) => !heard.has(step));
    if (unanswered !== undefined) heard.set(unanswered, { failure: { message: end } });
  }
}

/** Runs the program once, to its end or until patience does; says how it ended. */
function runOnce(program: string, steps: readonly string[], patience: number, heard: Heard): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...process.execArgv, program, ...steps], { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
    const [, , errors, answers] = child.stdio as unknown as [null, null, Readable, Readable];
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      // A process that hangs in a driver may not even die: it is not waited for.
      child.unref();
      errors.destroy();
      answers.destroy();
      resolve(`no answer within ${patience / 1000} s`);
    }, patience);
    let words = '';
    errors.on('data', (chunk) => {
      words = (words + chunk).slice(-4096);
    });
    createInterface({ input: answers }).on('line', (line) => {
      timer.refresh();
      note(line, heard);
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve(error.message);
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve(`the process that tried it ended ${signal === null ? `with status ${status}` : `by ${signal}`}${lastLine(words)}`);
    });
  });
}

function note(line: string, heard: Heard): void {
  try {
    const { step, answer } = JSON.parse(line);
    heard.set(step, answer);
  } catch {
    // cut off by the process's end, which is the answer
  }
}

function lastLine(words: string): string {
  const last = words.trim().split('\n').at(-1)!.trim();
  return last === '' ? '' : `, saying: ${last}`;
}
