/** All batch norms of a network's training step: each median as often as the network has that batch norm, forward and backward. */

import { floorSeconds, SIDES, type Side, secondsOf } from './compare';
import type { Cache, Cell, ProblemResult } from './measure';
import { CACHES } from './measure';
import type { Network } from './networks';
import { countsOf, FUSIONS, type Fusion, type Step } from './plan';
import { shapeOf } from './problem';

export interface Sum extends Step {
  cache: Cache;
  /** How many batch norms. */
  layers: number;
  /** Null where a time is missing. */
  seconds: Record<Side | 'floor', number | null>;
}

type Setting = Pick<Step, 'batch' | 'layout' | 'dtype'> & { fusion: Fusion; cache: Cache };

/** Those for which ours and the floor are complete. A list of shapes is no network, and has none. */
export function sumsOf(network: Network, batches: readonly number[], problems: readonly ProblemResult[]): Sum[] {
  if (network.layers.some(({ batch }) => batch !== undefined)) return [];
  const own = problems.filter((problem) => problem.network === network.name);
  const first = (key: 'layout' | 'dtype') => [...new Set(own.map((problem) => problem[key]))];
  return (first('dtype') as Step['dtype'][])
    .flatMap((dtype) =>
      batches.flatMap((batch) =>
        (first('layout') as Step['layout'][]).flatMap((layout) =>
          FUSIONS.flatMap((fusion) => CACHES.map((cache) => sumOf(network, { batch, layout, dtype, fusion, cache }, own))),
        ),
      ),
    )
    .filter(({ seconds }) => seconds.ours !== null && seconds.floor !== null);
}

function sumOf(network: Network, setting: Setting, problems: readonly ProblemResult[]): Sum {
  const cells = network.layers.flatMap((layers) =>
    countsOf(layers, setting.fusion).flatMap(([fused, count]) =>
      cellsOf(shapeOf(layers, setting.batch), fused, setting, problems).map((cell) => ({ cell, count })),
    ),
  );
  const total = (seconds: (cell: Cell) => number | null): number | null =>
    cells.reduce<number | null>((sum, { cell, count }) => {
      const one = cell && seconds(cell);
      return sum === null || one === null ? null : sum + count * one;
    }, 0);
  const sides = Object.fromEntries(SIDES.map((side) => [side, total((cell) => secondsOf(cell, side))])) as Record<Side, number | null>;
  return {
    network: network.name,
    ...setting,
    layers: cells.reduce((sum, { count }) => sum + count, 0) / 2,
    seconds: { ...sides, floor: total(floorSeconds) },
  };
}

/** Forward and backward; null for one that was not measured. */
function cellsOf(
  shape: readonly number[],
  fused: string,
  { layout, dtype, cache }: Setting,
  problems: readonly ProblemResult[],
): (Cell | null)[] {
  const found = problems.filter((one) => one.shape.join() === shape.join() && one.layout === layout && one.dtype === dtype);
  const cells = found.flatMap((problem) => problem.cells).filter((cell) => cell.fused === fused && cell.cache === cache);
  return (['trainingForward', 'backward'] as const).map((operation) => cells.find((cell) => cell.operation === operation) ?? null);
}
