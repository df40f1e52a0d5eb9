/**
 * Contenders that live in a process of their own: the plain copy, the floors, ours without JavaScript and PyTorch. Each tells its version in its first line, then
 * answers every request line `<operation> <calls> <layout: first|last> <N> <C> <H> <W>` with the seconds one call took; a floor adds
 * the way it took.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from './contender';
import { LineProcess } from './line_process';
import { OPERATIONS, type Operation, type Problem } from './problem';

interface Answer {
  seconds: number;
  way: string;
}

async function ask(helper: LineProcess, operation: Operation | 'copy', calls: number, { shape, layout }: Problem): Promise<Answer> {
  const answer = await helper.ask(`${operation} ${calls} ${layout === 'channels first' ? 'first' : 'last'} ${shape.join(' ')}`);
  const [first = '', ...way] = answer.split(' ');
  const seconds = Number(first);
  if (!(seconds > 0)) throw new Error(`${helper.command} answered ${answer} for ${operation}`);
  return { seconds, way: way.join(' ') };
}

async function burst(helper: LineProcess, operation: Operation | 'copy', calls: number, problem: Problem): Promise<number> {
  return (await ask(helper, operation, calls, problem)).seconds;
}

/** How a contender goes about it that only has to ask its process. */
function asked(helper: LineProcess): Pick<Contender, 'prepare' | 'close'> {
  return {
    prepare: async (problem) => ({
      burst: (operation, calls) => burst(helper, operation, calls, problem),
      release: () => {},
    }),
    close: () => helper.close(),
  };
}

const OUT = join(__dirname, '..', '..', 'out');

/** A program of this folder, compiled for this processor. */
async function startProgram(name: string, args: readonly string[], libraries: readonly string[] = []) {
  const folder = join(OUT, 'bench');
  const program = join(folder, name);
  mkdirSync(folder, { recursive: true });
  const flags = ['-std=c++17', '-O3', '-march=native', '-pthread', '-ffp-contract=fast', '-Wno-ignored-attributes', '-Wno-psabi'];
  execFileSync(process.env.CXX ?? 'c++', [...flags, join(__dirname, `${name}.cc`), ...libraries, '-o', program]);
  const helper = new LineProcess(program, args);
  return { helper, version: await helper.readLine() };
}

/** The contenders that no implementation can beat, but by chance: see floor.cc. */
export const FLOORS = {
  bytes: { name: 'floor', note: 'the bytes an operation has to move, moved without arithmetic' },
  arithmetic: { name: 'floor with arithmetic', note: 'the same with as few instructions as its arithmetic takes' },
} as const;

/** A plain copy of the problem's tensor. */
export interface Copy {
  burst(problem: Problem, calls: number): Promise<number>;
  close(): void;
}

export async function startCopy(threads: number): Promise<Copy> {
  const { helper } = await startProgram('copy', [String(threads)]);
  return { burst: (problem, calls) => burst(helper, 'copy', calls, problem), close: () => helper.close() };
}

export async function startFloor(kind: keyof typeof FLOORS, threads: number): Promise<Contender> {
  const { name, note } = FLOORS[kind];
  const { helper, version } = await startProgram('floor', [String(threads), kind]);
  return {
    name,
    version,
    note: `${threads} threads, each on its own core; ${note}, the best of several ways`,
    operations: OPERATIONS,
    prepare: async (problem) => {
      const ways = new Map<Operation, string>();
      return {
        burst: async (operation, calls) => {
          const { seconds, way } = await ask(helper, operation, calls, problem);
          ways.set(operation, way);
          return seconds;
        },
        way: (operation) => ways.get(operation),
        release: () => {},
      };
    },
    close: () => helper.close(),
  };
}

/** What the library has without its calls from JavaScript: see native.cc. */
export const NATIVE = {
  whole: { name: 'ours, native', note: 'without JavaScript', operations: OPERATIONS },
  handed: {
    name: 'ours, kernels handed out',
    note: "on the library's threads, which the system places; no coefficients are computed",
    operations: ['inference'],
  },
  kernels: {
    name: 'ours, kernels alone',
    note: 'each thread on its own core with always the same part; no coefficients are computed, no tasks handed out',
    operations: ['inference'],
  },
} as const;

export async function startNative(kind: keyof typeof NATIVE, threads: number): Promise<Contender | null> {
  const library = join(OUT, 'release', 'libcpu.a');
  const { name, note, operations } = NATIVE[kind];
  if (!existsSync(library)) {
    console.error(`${name}: left out, for there is no ${library}; 'npm run build:native' makes it`);
    return null;
  }
  const { helper, version } = await startProgram('native', [String(threads), kind], [library]);
  return {
    name,
    version,
    note: `${threads} threads; ${note}`,
    operations,
    ...asked(helper),
  };
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
    ...asked(helper),
  };
}
