/** The work of a run in the order of its importance: what comes last is left out first where time is short. */

import type { Layout } from '../cpu/problem';
import { type Fused, type Layers, type Network, totalCount } from './networks';
import { type GpuDType, type GpuProblem, problemName, problemsOf, shapeOf } from './problem';

/** Every batch norm alone, or with what its network lets follow. */
export type Fusion = 'plain' | 'fused';
export const FUSIONS: readonly Fusion[] = ['plain', 'fused'];

/** All batch norms of a network's training step: forward, then backward. */
export interface Step {
  network: string;
  batch: number;
  layout: Layout;
  dtype: GpuDType;
  fusion: Fusion;
}

/** One batch norm of a step. */
export interface StepLayer {
  shape: readonly number[];
  fused: Fused;
}

export type Work =
  | { kind: 'problem'; problem: GpuProblem; fused: readonly Fused[] }
  | { kind: 'step'; step: Step; layers: readonly StepLayer[] }
  | { kind: 'calls' };

export interface Selection {
  /** The first one leads: it comes with everything that can be fused, and as a whole step. */
  networks: readonly Network[];
  batches: readonly number[];
  dtypes: readonly GpuDType[];
  layouts: readonly Layout[];
  fused: readonly Fused[];
}

export const stepName = ({ network, batch, layout, dtype, fusion }: Step): string =>
  `${network} step, batch ${batch}, ${layout} ${dtype}, ${fusion}`;

export function workName(work: Work): string {
  if (work.kind === 'calls') return 'time per call';
  return work.kind === 'step' ? stepName(work.step) : `${problemName(work.problem)}, ${work.fused.join(' and ')}`;
}

export const layersOf = ({ layers }: Network, batch: number, fusion: Fusion): StepLayer[] =>
  layers.flatMap((one) => countsOf(one, fusion).flatMap(([fused, count]) => Array(count).fill({ shape: shapeOf(one, batch), fused })));

/** How many batch norms of a size there are in a step, by what is fused to them. */
export const countsOf = (layers: Layers, fusion: Fusion): [Fused, number][] =>
  fusion === 'plain' ? [['none', totalCount(layers)]] : (Object.entries(layers.count) as [Fused, number][]);

export function planOf({ networks, batches, dtypes, layouts, fused }: Selection): Work[] {
  const [leader, ...others] = networks as [Network, ...Network[]];
  const late = dtypes.filter((dtype) => dtype === 'float16');
  const early = dtypes.filter((dtype) => dtype !== 'float16');
  const alone = fused.filter((one) => one === 'none');
  const together = fused.filter((one) => one !== 'none');
  const simple = fused.filter((one) => one !== 'add+relu');
  const smallest = Math.min(...batches);

  const problems = (network: Network, types: readonly GpuDType[], sizes: readonly number[], kinds: readonly Fused[]): Work[] =>
    kinds.length === 0
      ? []
      : types.flatMap((dtype) =>
          sizes.flatMap((batch) =>
            layouts.flatMap((layout) =>
              problemsOf(network, batch, layout, dtype).map((problem) => ({ kind: 'problem' as const, problem, fused: kinds })),
            ),
          ),
        );
  const steps = (types: readonly GpuDType[]): Work[] =>
    types.flatMap((dtype) =>
      layouts.flatMap((layout) =>
        FUSIONS.map((fusion) => ({
          kind: 'step' as const,
          step: { network: leader.name, batch: smallest, layout, dtype, fusion },
          layers: layersOf(leader, smallest, fusion),
        })),
      ),
    );

  return [
    ...problems(leader, early, batches, alone),
    ...steps(early),
    { kind: 'calls' },
    ...problems(leader, early, batches, together),
    ...problems(leader, late, batches, fused),
    ...steps(late),
    ...others.flatMap((network) => problems(network, early, [smallest], simple)),
    ...others.flatMap((network) => problems(network, late, [smallest], simple)),
  ];
}
