/** A program in a process of its own that answers line by line. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class LineProcess {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private failure = '; its messages are above';

  constructor(
    readonly command: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } });
    // Where it cannot start or ends early, the missing answer is reported instead.
    this.child.on('error', ({ message }) => {
      this.failure = `: ${message}`;
    });
    this.child.stdin!.on('error', () => {});
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async readLine(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.command} ended without an answer${this.failure}`);
    return value;
  }

  ask(line: string): Promise<string> {
    this.child.stdin!.write(`${line}\n`);
    return this.readLine();
  }

  /** The answer, if it comes in time; or else the process is ended, and that is the error. */
  async within(seconds: number, answer: Promise<string>): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.kill();
        reject(new Error(`${this.command} gave no answer within ${Number(seconds.toPrecision(2))} s and was ended`));
      }, seconds * 1e3);
    });
    answer.catch(() => {}); // ended, it gives none
    return Promise.race([answer, tooLong]).finally(() => clearTimeout(timer));
  }

  /** At once; also lets go of its output, which something that it started may hold open. */
  kill(): void {
    this.child.kill('SIGKILL');
    this.child.stdin!.destroy();
    this.child.stdout!.destroy();
  }

  close(): void {
    this.child.stdin!.end();
  }
}
