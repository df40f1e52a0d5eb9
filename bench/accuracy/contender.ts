/** What every implementation looks like to the benchmark. */

import type { Values } from '../../lib/validation/oracle';
import type { Layout } from '../cpu/problem';
import type { BatchDType, Problem } from './problem';

/** What a training step gives, forward and backward; tensors in the order of [N, C, H, W]. */
export interface Step {
  output: Values;
  dx: Values;
  dγ: Values;
  dβ: Values;
}

/** A yardstick shows what an error would do, and a stand-in plays a library that is not there: ours is compared with neither. */
export type Role = 'ours' | 'rival' | 'stand-in' | 'yardstick';

export interface Contender {
  readonly name: string;
  readonly version: string;
  readonly note: string;
  readonly role: Role;
  readonly layouts: readonly Layout[];
  readonly dtypes: readonly BatchDType[];
  step(problem: Problem, layout: Layout): Promise<Step>;
  close(): void;
}

export const LAYOUTS: readonly Layout[] = ['channels first', 'channels last'];
