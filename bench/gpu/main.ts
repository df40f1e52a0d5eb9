/** The GPU benchmark: see options.ts for its command line. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../lib/cli/usage';
import type { Device } from '../../lib/index';
import { fileStem } from '../cpu/machine';
import { Budget } from './budget';
import { Clock } from './clock';
import { CompileBudget } from './compile_budget';
import { cudnnMissing, cudnnVersion } from './contenders';
import { collectIn, isOfOurs, reasonOf } from './failures';
import { describeGpu, isEmulated, openGpu } from './gpu';
import { HELP, type Options, parseOptions } from './options';
import { planOf } from './plan';
import { PyTorch, type PyTorchVersions } from './pytorch';
import { newReport, type Report, toJson, writeJson, writePlots } from './report';
import { run, type Session } from './run';
import { failureLines, leftOutLines, ratioTable } from './summary';
import { callTable, headlineTable, stepTable } from './table';
import { unwatched, watched } from './watchdog';

/** What our samples take is milliseconds. */
const HANG_SECONDS = 20;

/** Ends the process of PyTorch, if there is one, when all is measured. */
async function withSession(options: Options, device: Device, use: (session: Session, report: Report) => Promise<void>): Promise<void> {
  const budget = new Budget(options.budget);
  const absent: Report['absent'] = [];
  if (cudnnMissing() !== null) absent.push({ contender: 'cuDNN', reason: cudnnMissing()! });
  const pytorch = await startPyTorch(options).catch((error: unknown) => {
    absent.push({ contender: 'PyTorch', reason: reasonOf(error) });
    return null;
  });
  try {
    const stream = device.createStream();
    const timer = await Clock.start(device, stream, options.flushBytes);
    const report = newReport(options, {
      gpu: describeGpu(device),
      cudnn: cudnnVersion(),
      pytorch: pytorch?.versions ?? null,
      absent,
    });
    const compileBudget = new CompileBudget(options.compileSeconds, options);
    const onFailure = collectIn(report.failures);
    await use({ device, stream, timer, pytorch, budget, compileBudget, options, onFailure, watch: unwatched }, report);
    if (report.failures.some(isOfOurs)) process.exitCode = 1;
  } finally {
    pytorch?.close();
  }
}

const startPyTorch = ({ flushBytes }: Options): Promise<PyTorch> =>
  PyTorch.start(process.env.BENCH_PYTHON || 'python3', isEmulated() ? 'cpu' : 'cuda', flushBytes);

const pytorchText = ({ version, cudnn, cuda, triton }: PyTorchVersions): string =>
  `PyTorch ${version} with cuDNN ${cudnn ?? '–'}, CUDA ${cuda ?? '–'}, Triton ${triton ?? '–'}`;

const introduction = ({ gpu, cudnn, pytorch, rounds }: Report): string =>
  [
    `${[gpu.description, gpu.version, gpu.state].filter(Boolean).join(', ')}; ${rounds} rounds`,
    `${cudnn ?? 'No cuDNN'}; ${pytorch ? pytorchText(pytorch) : 'PyTorch is not here'}`,
    'floor: a copy on the device that moves as many bytes as the operation at least does',
  ].join('\n');

/** What matters most comes last, where a terminal stands still. */
const conclusion = (report: Report): string =>
  [
    [...failureLines(report), ...leftOutLines(report)].join('\n'),
    ratioTable(report.problems),
    ...(report.timePerCall ? [callTable(report.timePerCall)] : []),
    ...report.steps.map(stepTable),
    headlineTable(report.headline),
  ].join('\n\n');

/** All of it but the times: what a visit to a GPU would stumble over shows without one. */
async function rehearse(options: Options, device: Device): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-gpu-'));
  const out = join(folder, 'rehearsal.json');
  try {
    await withSession(options, device, async (session, report) => {
      await run(planOf(options), session, report, { save: () => writeJson(report, out), say: () => {} });
      writePlots(report, out);
      conclusion(report);
      const { problems, steps } = report;
      console.log(
        `Rehearsed on ${device.description}: ${problems.length} problems, ${steps.length} steps; no times are shown and nothing is kept`,
      );
      console.log([...failureLines(report), ...leftOutLines(report)].join('\n'));
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Whoever leaves in order waits for the GPU, and that may be for ever. */
function leave(): never {
  spawn('sh', ['-c', `sleep 5; kill -9 ${process.pid}`], { detached: true, stdio: 'ignore' }).unref();
  process.exit(1);
}

async function measureAll(options: Options, device: Device): Promise<void> {
  const say = options.json ? console.error : console.log;
  await withSession(options, device, async (session, report) => {
    say(introduction(report));
    const out =
      options.out ?? join('reports', 'bench', 'gpu', `${fileStem(new Date(report.date), device.description.split(',')[0]!)}.json`);
    writeJson(report, out); // a place that cannot be written to is known before the work
    const plan = planOf(options);
    let count = 0;
    const save = () => writeJson(report, out);
    const watch = watched(HANG_SECONDS, (contender, reason, where) => {
      session.onFailure(contender, reason, where);
      save();
      console.error(`${contender}: ${reason} (${where}); what was measured before is in ${out}`);
      leave();
    });
    await run(plan, { ...session, watch }, report, {
      save,
      say: (text) => say(`\n${++count}/${plan.length}, ${Math.round(report.seconds)} s: ${text}`),
    });
    say(`\n${conclusion(report)}`);
    if (options.json) process.stdout.write(toJson(report));
    console.error(`\nWritten: ${[out, ...writePlots(report, out)].join(', ')}`);
  });
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const device = openGpu(options.rehearse);
  await (options.rehearse ? rehearse : measureAll)(options, device);
}

main().catch((error: unknown) => {
  console.error(reasonOf(error));
  if (error instanceof UsageError) console.error("'npm run bench:gpu -- --help' lists the options");
  process.exit(error instanceof UsageError ? 2 : 1); // at once: a Python that was started ends with the pipe to it
});
