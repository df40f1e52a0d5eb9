/** PyTorch, eager and compiled, in a process of its own that lives as long as the run; pytorch.py describes the lines. */

import { join } from 'node:path';
import { LineProcess } from '../cpu/line_process';
import type { Operation } from '../cpu/problem';
import { type Summary, summarize } from '../cpu/statistics';
import { difference, type FirstValues } from './check';
import { OURS } from './contenders';
import { type OnFailure, reasonOf } from './failures';
import { PERIOD, SEEDS, valuesOf } from './inputs';
import type { Cell } from './measure';
import type { Fused } from './networks';
import { caseName, type GpuProblem, problemName } from './problem';

export const EAGER = 'PyTorch eager';
export const COMPILED = 'PyTorch compile';
/** Who failed where the two disagree: which of them is wrong is not known. */
const COMPARISON = `${OURS} and PyTorch`;

/** What it says of itself. */
export interface PyTorchVersions {
  version: string;
  cudnn: number | null;
  /** That it was built with. */
  cuda: string | null;
  /** Null where it has none, and so compiles nothing for a GPU. */
  triton: string | null;
}

type Failed = { error: string };
type Answers = Partial<Record<Operation, Record<'cold' | 'warm', number[]> | Failed>>;
type ProblemAnswer = { first: FirstValues; eager: Answers; compile?: Answers; compileSeconds?: number };
export interface StepTimes {
  seconds: Summary;
  /** Per step of some on end, by the clock of the process. */
  pipelined: Summary;
}

/** The longest that a request may take: compilers can hang. */
const REQUEST_SECONDS = 90;
/** What one may take that is asked again, however late it is. */
const LEAST_SECONDS = 15;

export class PyTorch {
  private ended: string | null = null;
  private requests = 0;
  /** Why it compiles no more. */
  private compilesNot: string | null = null;

  private constructor(
    private readonly startAgain: () => Promise<LineProcess>,
    private child: LineProcess,
    readonly versions: PyTorchVersions,
  ) {}

  /** @throws where `python` does not start, has no torch, or torch has no GPU. */
  static async start(python: string, device: 'cuda' | 'cpu', flushBytes: number): Promise<PyTorch> {
    const start = () => startProcess(python, [join(__dirname, 'pytorch.py'), device, String(flushBytes)]);
    const { child, versions } = await start();
    return new PyTorch(async () => (await start()).child, child, versions);
  }

  /** Adds PyTorch's times to the cells of a problem; the seconds that compiling took. */
  async measure(problem: GpuProblem, fused: Fused, cells: readonly Cell[], calls: CallsOf, options: Options): Promise<number> {
    const { rounds, seconds, ours, onFailure } = options;
    const { shape, layout, dtype } = problem;
    const operations = Object.fromEntries(cells.map((cell) => [cell.operation, calls(cell)]));
    const request = { kind: 'problem', shape, layout, dtype, fused, operations, rounds };
    const wanted = options.compileNot === null && this.compilesNot === null;
    try {
      const answer = await this.askForProblem({ ...request, compile: wanted }, seconds);
      const other = difference(ours, answer.first);
      if (other !== null) {
        onFailure(COMPARISON, other, caseName(problem, 'trainingForward', fused));
        for (const cell of cells) cell.times = cell.times.filter(({ contender }) => contender !== OURS);
        return answer.compileSeconds ?? 0;
      }
      for (const cell of cells) {
        const fail = (contender: string, reason: string) => onFailure(contender, reason, caseName(problem, cell.operation, fused));
        add(cell, EAGER, answer.eager, fail);
        if (answer.compile) add(cell, COMPILED, answer.compile, fail);
      }
      const compileNot = this.compilesNot ?? options.compileNot;
      if (compileNot !== null) onFailure(COMPILED, compileNot, problemName(problem));
      return answer.compileSeconds ?? 0;
    } catch (error) {
      onFailure('PyTorch', error, problemName(problem));
      return 0;
    }
  }

  /** A process that compiling was the end of is followed by one, once, that does not compile. */
  private async askForProblem(request: { compile: boolean }, seconds: number): Promise<ProblemAnswer> {
    const start = performance.now();
    try {
      return await this.ask<ProblemAnswer>(request, seconds);
    } catch (error) {
      if (this.ended === null || !request.compile) throw error;
      this.compilesNot = `not asked again since ${this.ended}`;
      this.child = await this.startAgain();
      this.ended = null;
      const left = seconds - (performance.now() - start) / 1e3;
      return this.ask<ProblemAnswer>({ ...request, compile: false }, Math.max(LEAST_SECONDS, left));
    }
  }

  async step(layers: readonly { shape: readonly number[]; fused: Fused }[], options: StepRequest): Promise<StepTimes> {
    const { seconds, ...request } = options;
    const answer = await this.ask<Record<keyof StepTimes, number[]>>({ kind: 'step', layers, ...request }, seconds);
    return { seconds: summarize(answer.seconds), pipelined: summarize(answer.pipelined) };
  }

  async calls(
    shape: readonly number[],
    rounds: number,
    calls: number,
    seconds: number,
  ): Promise<Record<'trainingForward' | 'backward', Summary>> {
    const answer = await this.ask<Record<'trainingForward' | 'backward', number[]>>({ kind: 'calls', shape, rounds, calls }, seconds);
    return { trainingForward: summarize(answer.trainingForward), backward: summarize(answer.backward) };
  }

  close(): void {
    this.child.close();
  }

  /** A process that ended once is not asked again. */
  private async ask<T extends object>(request: object, seconds: number): Promise<T> {
    if (this.ended !== null) throw new Error(this.ended);
    const limit = Math.min(REQUEST_SECONDS, seconds);
    const id = ++this.requests;
    const result = await this.answerTo<T>(id, request, limit).catch((error: unknown) => {
      this.ended = reasonOf(error);
      this.child.kill();
      throw error;
    });
    if ('error' in result) throw new Error(result.error);
    return result;
  }

  private async answerTo<T>(id: number, request: object, seconds: number): Promise<T | Failed> {
    const line = await this.child.within(seconds, this.child.ask(JSON.stringify({ id, ...request })));
    const answer = parse<(T | Failed) & { id: number }>(line);
    if (answer.id !== id) throw new Error(`pytorch.py answered request ${answer.id} when ${id} was asked`);
    return answer;
  }
}

async function startProcess(python: string, args: readonly string[]): Promise<{ child: LineProcess; versions: PyTorchVersions }> {
  const child = new LineProcess(python, args);
  try {
    const first = parse<(PyTorchVersions & { sample: number[] }) | Failed>(await child.within(REQUEST_SECONDS, child.readLine()));
    if ('error' in first) throw new Error(`${python}: ${first.error}`);
    const { sample, ...versions } = first;
    const values = valuesOf(SEEDS.input);
    const ours = [0, 1, PERIOD - 1].map((index) => values[index]);
    if (ours.join() !== sample.join()) throw new Error(`pytorch.py would compute with other numbers: ${sample} instead of ${ours}`);
    return { child, versions };
  } catch (error) {
    child.kill(); // or this process would not end before it
    throw error;
  }
}

function parse<T>(line: string): T {
  try {
    return JSON.parse(line) as T;
  } catch {
    throw new Error(`pytorch.py wrote no JSON but '${line.slice(0, 80)}'`);
  }
}

/** How many calls back to back warm a cell. */
export type CallsOf = (cell: Cell) => number;

export interface Options {
  rounds: number;
  /** Why torch.compile is not asked; null where it is. */
  compileNot: string | null;
  /** What the answer is held against. */
  ours: FirstValues;
  /** The most that an answer may take. */
  seconds: number;
  onFailure: OnFailure;
}

export interface StepRequest extends Pick<GpuProblem, 'layout' | 'dtype'> {
  rounds: number;
  seconds: number;
}

function add(cell: Cell, contender: string, answers: Answers, fail: (contender: string, reason: string) => void): void {
  const answer = answers[cell.operation]!;
  if ('error' in answer) fail(contender, answer.error);
  else cell.times.push({ contender, seconds: summarize(answer[cell.cache]) });
}
