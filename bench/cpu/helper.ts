/**
 * Contenders that live in a process of their own: the plain copy and PyTorch. Each tells its version in its first line, then
 * answers every request line `<operation> <calls> <layout: first|last> <N> <C> <H> <W>` with the seconds one call took.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from './contender';
import { LineProcess } from './line_process';
import { OPERATIONS, type Operation, type Problem } from './problem';

async function burst(helper: LineProcess, operation: Operation | 'copy', calls: number, { shape, layout }: Problem): Promise<number> {
  const answer = await helper.ask(`${operation} ${calls} ${layout === 'channels first' ? 'first' : 'last'} ${shape.join(' ')}`);
  const seconds = Number(answer);
  if (!(seconds > 0)) throw new Error(`${helper.command} answered ${answer} for ${operation}`);
  return seconds;
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
  const helper = new LineProcess(program, [String(threads)]);
  await helper.readLine();
  return { burst: (problem, calls) => burst(helper, 'copy', calls, problem), close: () => helper.close() };
}

export async function startPyTorch(python: string, threads: number): Promise<Contender> {
  const helper = new LineProcess(python, [join(__dirname, 'pytorch.py'), String(threads)], {
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
      burst: (operation, calls) => burst(helper, operation, calls, problem),
      release: () => {},
    }),
    close: () => helper.close(),
  };
}
