/**
 * The seconds that torch.compile may compile, in equal shares for each layout and type and what is fused: in the order of the plan the
 * first of them would take all.
 */

import type { Fused } from './networks';
import type { Selection } from './plan';
import type { GpuProblem } from './problem';

type Setting = Pick<GpuProblem, 'layout' | 'dtype'>;

export class CompileBudget {
  private readonly share: number;
  private readonly spent = new Map<string, number>();

  constructor(
    private readonly seconds: number,
    { dtypes, layouts, fused }: Pick<Selection, 'dtypes' | 'layouts' | 'fused'>,
  ) {
    this.share = seconds / (dtypes.length * layouts.length * fused.length);
  }

  /** Why a setting gets no more; null where it does. */
  refusal(setting: Setting, fused: Fused): string | null {
    if (this.seconds === 0) return 'switched off by --compile 0';
    const all = [...this.spent.values()].reduce((sum, one) => sum + one, 0);
    if (all >= this.seconds) return `its ${this.seconds} s for compiling are over`;
    const own = this.spent.get(keyOf(setting, fused)) ?? 0;
    return own >= this.share ? `the share of ${keyOf(setting, fused)} in its ${this.seconds} s for compiling is over` : null;
  }

  spend(setting: Setting, fused: Fused, seconds: number): void {
    const key = keyOf(setting, fused);
    this.spent.set(key, (this.spent.get(key) ?? 0) + seconds);
  }
}

const keyOf = ({ layout, dtype }: Setting, fused: Fused): string => `${layout} ${dtype} ${fused}`;
