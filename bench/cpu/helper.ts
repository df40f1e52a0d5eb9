/**
 * Contenders that live in a process of their own: the plain copy and PyTorch. Each tells its version in its first line, then
 * answers every request line `<operation> <calls> <layout: first|last> <N> <C> <H> <W>` with the seconds one call took.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Contender } from './contender';
import { OPERATIONS, type Operation, type Problem } from './problem';

class Helper {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(
    private readonly command: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } });
    // Where it cannot start or ends early, the missing answer is reported instead.
    this.child.on('error', () => {});
    this.child.stdin!.on('error', () => {});
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async readLine(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.command} ended without an answer; its messages are above`);
    return value;
  }

  async burst(operation: Operation | 'copy', calls: number, { shape, layout }: Problem): Promise<number> {
    this.child.stdin!.write(`${operation} ${calls} ${layout === 'channels first' ? 'first' : 'last'} ${shape.join(' ')}\n`);
    const seconds = Number(await this.readLine());
    if (!(seconds > 0)) throw new Error(`${this.command} answered ${seconds} for ${operation}`);
    return seconds;
  }

  close(): void {
    this.child.stdin!.end();
  }
}

/** A plain copy of the problem's tensor. */
export interface Copy {
  burst(problem: Problem, calls: number): Promise<number>;
  close(): void;
}

export async function startCopy(threads: number): Promise<Copy> {
  const folder = join(__dirname, '..', '..', 'out', 'bench');
  const program = join(folder, 'copy');
  mkdirSync(folder, { recursive: true });
  execFileSync(process.env.CXX ?? 'c++', ['-std=c++17', '-O2', '-pthread', join(__dirname, 'copy.cc'), '-o', program]);
  const helper = new Helper(program, [String(threads)]);
  await helper.readLine();
  return { burst: (problem, calls) => helper.burst('copy', calls, problem), close: () => helper.close() };
}

export async function startPyTorch(python: string, threads: number): Promise<Contender> {
  const helper = new Helper(python, [join(__dirname, 'pytorch.py'), String(threads)], {
    // Freed memory stays in the process and large blocks take huge pages, so that results allocated anew cost no page faults.
    MALLOC_MMAP_THRESHOLD_: String(2 ** 25), // the most that glibc accepts
    MALLOC_TRIM_THRESHOLD_: String(2 ** 32),
    THP_MEM_ALLOC_ENABLE: '1',
  });
  return {
    name: 'PyTorch',
    version: await helper.readLine(),
    note: `${threads} threads; forward writes to memory given with out=, backward allocates from memory kept by malloc; channels_last memory format for channels last`,
    operations: OPERATIONS,
    prepare: async (problem) => ({
      burst: (operation, calls) => helper.burst(operation, calls, problem),
      release: () => {},
    }),
    close: () => helper.close(),
  };
}
