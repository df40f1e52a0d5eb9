/** PyTorch, eager and compiled, in a process of its own that lives as long as the run; pytorch.py describes the lines. */

import { join } from 'node:path';
import { LineProcess } from '../cpu/line_process';
import type { Operation } from '../cpu/problem';
import { type Summary, summarize } from '../cpu/statistics';
import { difference, type FirstValues } from './check';
import { type OnFailure, reasonOf } from './failures';
import { PERIOD, SEEDS, valuesOf } from './inputs';
import type { Cell } from './measure';
import type { Fused } from './networks';
import { caseName, type GpuProblem, problemName } from './problem';

export const EAGER = 'PyTorch eager';
export const COMPILED = 'PyTorch compile';

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

export class PyTorch {
  /** Seconds that compiling took so far. */
  compileSeconds = 0;
  private ended: string | null = null;

  private constructor(
    private readonly child: LineProcess,
    readonly version: string,
    readonly cudnn: number | null,
  ) {}

  /** @throws where `python` does not start, has no torch, or torch has no GPU. */
  static async start(python: string, device: 'cuda' | 'cpu', flushBytes: number): Promise<PyTorch> {
    const child = new LineProcess(python, [join(__dirname, 'pytorch.py'), device, String(flushBytes)]);
    const first = JSON.parse(await child.within(REQUEST_SECONDS, child.readLine())) as
      | { version: string; cudnn: number | null; sample: number[] }
      | Failed;
    if ('error' in first) throw new Error(`${python}: ${first.error}`);
    const values = valuesOf(SEEDS.input);
    const ours = [0, 1, PERIOD - 1].map((index) => values[index]);
    if (ours.join() !== first.sample.join())
      throw new Error(`pytorch.py would compute with other numbers: ${first.sample} instead of ${ours}`);
    return new PyTorch(child, first.version, first.cudnn);
  }

  /** Adds PyTorch's times to the cells of a problem. */
  async measure(problem: GpuProblem, fused: Fused, cells: readonly Cell[], calls: CallsOf, options: Options): Promise<void> {
    const { rounds, compileNot, seconds, ours, onFailure } = options;
    const { shape, layout, dtype } = problem;
    const operations = Object.fromEntries(cells.map((cell) => [cell.operation, calls(cell)]));
    const request = { kind: 'problem', shape, layout, dtype, fused, operations, rounds, compile: compileNot === null };
    try {
      const answer = await this.ask<ProblemAnswer>(request, seconds);
      this.compileSeconds += answer.compileSeconds ?? 0;
      const other = difference(ours, answer.first);
      if (other !== null) throw new Error(other);
      for (const cell of cells) {
        const fail = (contender: string, reason: string) => onFailure(contender, reason, caseName(problem, cell.operation, fused));
        add(cell, EAGER, answer.eager, fail);
        if (answer.compile) add(cell, COMPILED, answer.compile, fail);
      }
    } catch (error) {
      onFailure('PyTorch', error, problemName(problem));
      return;
    }
    if (compileNot !== null) onFailure(COMPILED, compileNot, problemName(problem));
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
    const answer = await this.child.within(limit, this.child.ask(JSON.stringify(request))).catch((error: unknown) => {
      this.ended = reasonOf(error);
      throw error;
    });
    const result = JSON.parse(answer) as T | Failed;
    if ('error' in result) throw new Error(result.error);
    return result;
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
