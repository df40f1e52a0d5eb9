/** Measures all that the constants are found by. */

import type { Device } from '../../../lib/index';
import { commit, machine } from '../../cpu/machine';
import { Budget } from '../budget';
import { Clock } from '../clock';
import { describeGpu } from '../gpu';
import { type GpuProblem, problemName } from '../problem';
import { problems, tinyProblems } from './candidates';
import { measureDirect } from './direct';
import { measurePoints } from './measure';
import type { Options } from './options';
import { capabilityOf, gpuOf, type Recording } from './recording';

/** `keep` gets the recording after each problem, as far as it is then: what is measured is not to be lost with what is not. */
export async function record(options: Options, device: Device, keep: (recording: Recording) => void): Promise<Recording> {
  const { rehearse, batches, rounds } = options;
  const budget = new Budget(options.budget);
  const stream = device.createStream();
  const clock = await Clock.start(device, stream, rehearse ? 2 ** 16 : 2 ** 29);
  const sizes = { rounds, copyBytes: rehearse ? 2 ** 16 : 2 ** 30, tinyCalls: rehearse ? 2 : 100 };
  const measured = { points: [], failures: [], leftOut: [] };
  const recording: Recording = {
    date: new Date().toISOString(),
    commit: commit(),
    machine: machine(),
    state: describeGpu(device),
    rounds,
    budgetSeconds: options.budget,
    gpu: gpuOf(device),
    capability: capabilityOf(device),
    direct: await measureDirect(device, stream, clock, sizes),
    ...measured,
  };
  keep(recording); // a place that cannot be written to is known before the work
  const onProblem = (problem: GpuProblem) => console.error(problemName(problem));
  const onMeasured = () => keep(recording);
  await measurePoints(
    rehearse ? tinyProblems() : problems(batches),
    { device, stream, clock, rounds, budget, onProblem, onMeasured },
    measured,
  );
  return recording;
}
