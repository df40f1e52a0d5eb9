/** What all experiments have in common. */

import type { BarPlotOptions, LinePlotOptions } from '../report';
import type { Lab } from './lab';

/** Something that is said of batch norm, and how it is put to the test. */
export interface Experiment {
  /** For the command line. */
  name: string;
  title: string;
  /** What is said, and who says it. */
  claim: string;
  source: string;
  /** When it counts as shown. */
  criterion: string;
  run(lab: Lab): Promise<Finding>;
}

/** What the numbers say of a claim. */
export interface Judgement {
  /** Whether the numbers fulfil the criterion. */
  shown: boolean;
  /** The first is the one that the experiment is about. */
  numbers: readonly { name: string; value: number }[];
  /** The outcome in words, the same whether the effect is there or not. */
  sentence: string;
}

export interface Finding extends Judgement {
  /** What was done: sizes, steps, repeats. */
  setting: string;
  plots: readonly Plot[];
}

export type Plot = ({ kind: 'lines' } & LinePlotOptions) | ({ kind: 'bars' } & BarPlotOptions);
