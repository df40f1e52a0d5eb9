/** Labelled vectors: what a classifier learns from. */

import type { Random } from '../random';

export interface Dataset {
  /** `[count, width]`, row by row. */
  features: Float32Array;
  /** Class of each row, 0 … */
  labels: Uint8Array;
  count: number;
  width: number;
}

/** What the demo trains on and is judged by. */
export interface Task {
  train: Dataset;
  test: Dataset;
  classes: number;
  /** Where the data came from, for people. */
  source: string;
}

/** The rows of these indices, in their order. */
export function select({ features, labels, width }: Dataset, rows: Uint32Array): Dataset {
  const chosen = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    chosen.set(features.subarray(row * width, (row + 1) * width), index * width);
  });
  return { features: chosen, labels: Uint8Array.from(rows, (row) => labels[row]!), count: rows.length, width };
}

/** Random rows apart for testing, a fifth of all. */
export function split(dataset: Dataset, random: Random): { train: Dataset; test: Dataset } {
  const order = random.permutation(dataset.count);
  const testCount = Math.max(1, Math.floor(dataset.count / 5));
  return { test: select(dataset, order.subarray(0, testCount)), train: select(dataset, order.subarray(testCount)) };
}
