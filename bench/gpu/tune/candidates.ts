/** What is measured: problems, and for each some of the ways to share the work that the plan could take. */

import { ACTIVATION_CODES, DTYPE_CODES, type KernelLaunch, type NativeBackend } from '../../../lib/addon';
import { OPERATIONS } from '../../cpu/problem';
import { channelsOf, type GpuProblem, LAYOUTS, product } from '../problem';

export const TUNED_OPERATIONS = OPERATIONS.filter((operation) => operation !== 'inference');
export type TunedOperation = 'trainingForward' | 'backward';

const SIZES = [
  [64, 112],
  [64, 56],
  [256, 56],
  [128, 28],
  [512, 28],
  [256, 14],
  [1024, 14],
  [512, 7],
  [2048, 7],
] as const;

const network = 'ResNet-50';

/** Those of most pictures last: they take longest. */
export const problems = (batches: readonly number[]): GpuProblem[] =>
  batches.flatMap((batch) =>
    SIZES.flatMap(([channels, side]) =>
      (['float32', 'bfloat16'] as const).flatMap((dtype) =>
        LAYOUTS.map((layout) => ({ network, shape: [batch, channels, side, side], layout, dtype })),
      ),
    ),
  );

export const tinyProblems = (): GpuProblem[] =>
  LAYOUTS.map((layout) => ({ network: 'tiny', shape: [4, 8, 6, 6], layout, dtype: 'float32' }));

const TEAMS = ['team=block', 'team=cluster,blocks=2', 'team=cluster,blocks=4', 'team=cluster,blocks=8', 'team=grid'];
const THREADS = [128, 256, 512];
/** The plan's own choice comes first. */
const CHOICES = ['', ...TEAMS.flatMap((team) => THREADS.map((threads) => `${team},threads=${threads}`))];

/** The kernel of teams that an operation launches under a choice. */
export function explain(native: NativeBackend, problem: GpuProblem, operation: TunedOperation, choice: string): KernelLaunch {
  native.force(choice);
  const channels = channelsOf(problem);
  const spatial = product(problem.shape.slice(2));
  const [outer, inner] = problem.layout === 'channels first' ? [problem.shape[0]!, spatial] : [problem.shape[0]! * spatial, 1];
  const backward = operation === 'backward';
  const given = { running: !backward, gradWeight: backward, gradBias: backward };
  const dtypes = [DTYPE_CODES[problem.dtype], DTYPE_CODES.float32] as const;
  return native.explain(operation, outer, channels, inner, ...dtypes, ACTIVATION_CODES.identity, given)[0]!;
}

/** Launches that differ, each told so fully that other constants do not make another one of it. */
export function choicesFor(native: NativeBackend, problem: GpuProblem, operation: TunedOperation): string[] {
  const pinned = CHOICES.map((choice) => {
    const { team, teamBlocks, block, sharedBytes } = explain(native, problem, operation, choice);
    return `team=${team},blocks=${teamBlocks},threads=${block},shared=${sharedBytes}`;
  });
  return [...new Set(pinned)];
}
