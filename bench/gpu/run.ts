/** Does the work of a plan, as far as its time goes. */

import type { Device, Stream } from '../../lib/index';
import type { Budget } from './budget';
import { measureCalls } from './calls';
import { firstValues } from './check';
import type { CompileBudget } from './compile_budget';
import { backendsHere, openContender } from './contenders';
import { openCopies } from './copies';
import { type OnFailure, reasonOf } from './failures';
import { stateOfGpu } from './gpu';
import { disposeAll, inputsOf } from './inputs';
import { type Cell, measure, type ProblemResult, type Timer, warmCalls } from './measure';
import type { Fused } from './networks';
import type { Options } from './options';
import { type Work, workName } from './plan';
import { fewestBytes, type GpuProblem } from './problem';
import type { PyTorch } from './pytorch';
import { headlineOf, type Report } from './report';
import { measureStep } from './step';
import { callTable, problemTable, stepTable } from './table';
import type { Watch } from './watchdog';

/** Who measures where. */
export interface Session {
  device: Device;
  stream: Stream;
  timer: Timer;
  pytorch: PyTorch | null;
  budget: Budget;
  compileBudget: CompileBudget;
  options: Options;
  onFailure: OnFailure;
  watch: Watch;
}

/** What an answer of PyTorch may take when the time of the run is over. */
const GRACE_SECONDS = 30;
const CALLS_ON_END = 500;

/** Where the report goes as it fills. */
export interface Sink {
  save: () => void;
  /** Gets each piece of work as text. */
  say: (text: string) => void;
}

/** Fills the report, and saves it after each piece of work. Nothing that fails ends the run. */
export async function run(plan: readonly Work[], session: Session, report: Report, { save, say }: Sink): Promise<void> {
  for (const work of plan) {
    if (session.budget.left() === 0) {
      report.leftOut.push(workName(work));
      continue;
    }
    const text = await doWork(work, session, report).catch((error: unknown) => {
      session.onFailure('all', error, workName(work));
      return `${workName(work)} failed: ${reasonOf(error)}`;
    });
    report.seconds = session.budget.spent();
    report.headline = headlineOf(report, session.options);
    save();
    say(text);
  }
  report.gpu.stateAfter = stateOfGpu();
  save(); // with what was left out as well
}

/** What was measured, as text. */
async function doWork(work: Work, session: Session, report: Report): Promise<string> {
  const { device, stream, timer, pytorch, budget, options, onFailure, watch } = session;
  const limits = { rounds: options.rounds, seconds: budget.left() + GRACE_SECONDS, onFailure, watch };
  if (work.kind === 'problem') {
    const cells = await measureProblem(work.problem, work.fused, session);
    addCells(report, work.problem, cells);
    return problemTable({ ...work.problem, cells });
  }
  if (work.kind === 'step') {
    const step = await measureStep(work.step, work.layers, stream, timer, pytorch, limits);
    report.steps.push(step);
    return stepTable(step);
  }
  report.timePerCall = await measureCalls(device, pytorch, { ...limits, calls: options.rehearse ? 2 : CALLS_ON_END });
  return callTable(report.timePerCall);
}

function addCells(report: Report, problem: GpuProblem, cells: Cell[]): void {
  const same = report.problems.find((one) => samePlace(one, problem));
  if (same) same.cells.push(...cells);
  else report.problems.push({ ...problem, cells });
}

const samePlace = (one: ProblemResult, { network, shape, layout, dtype }: GpuProblem): boolean =>
  one.network === network && one.shape.join() === shape.join() && one.layout === layout && one.dtype === dtype;

async function measureProblem(problem: GpuProblem, fused: readonly Fused[], session: Session): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const one of fused) cells.push(...(await measureFused(problem, one, session)));
  return cells;
}

async function measureFused(problem: GpuProblem, fused: Fused, session: Session): Promise<Cell[]> {
  const { pytorch, budget, compileBudget, options, onFailure } = session;
  const { cells, first } = await measureHere(problem, fused, session);
  if (pytorch !== null) {
    const compileSeconds = await pytorch.measure(problem, fused, cells, ({ copySeconds }) => warmCalls(copySeconds.median, options.calls), {
      rounds: options.rounds,
      compileNot: compileBudget.refusal(problem, fused),
      ours: first,
      seconds: budget.left() + GRACE_SECONDS,
      onFailure,
    });
    compileBudget.spend(problem, fused, compileSeconds);
  }
  return cells;
}

/** By the implementations in this process, whose memory is free again when this resolves. */
async function measureHere(problem: GpuProblem, fused: Fused, { device, stream, timer, options, onFailure, watch }: Session) {
  const { operations } = options;
  const releases: (() => void)[] = [];
  try {
    const inputs = inputsOf(problem, fused === 'add+relu', device);
    releases.push(() => disposeAll(inputs));
    await device.synchronize(); // they are made on another stream
    const copies = openCopies(Math.max(...operations.map((operation) => fewestBytes(problem, operation, fused))), device, stream);
    releases.push(copies.release);
    const contenders = [];
    for (const name of backendsHere()) {
      const contender = await openContender(name, problem, fused, inputs, stream, operations, { onFailure, watch });
      releases.push(contender.release);
      contenders.push(contender);
    }
    const cells = await measure(problem, fused, contenders, copies.of, timer, { ...options, onFailure, watch });
    return { cells, first: await firstValues(problem, fused, inputs) };
  } finally {
    for (const release of releases) release();
    device.emptyCache();
  }
}
