/** The digits of the lab: drawn from the seed, or read from a file of the UCI repository's optdigits. */

import { basename } from 'node:path';
import { readCsv } from '../datasets/csv';
import { type Dataset, select, split, type Task } from '../datasets/dataset';
import { renderDigits } from '../datasets/digits';
import { Random } from '../random';

/** Pixels along a side of every picture. */
export const SIDE = 8;
const CLASSES = 10;
/** optdigits: how many of 16 pixels of the scanned picture are black. */
const MOST = 16;
const RULES = { width: SIDE * SIDE, least: 0, most: MOST, classes: CLASSES };
const FEWEST_ROWS = 500;

export interface DigitsOptions {
  /** A file of 64 values from 0 to 16 and the digit a line. */
  data: string | undefined;
  seed: number;
  quick: boolean;
}

/** Pictures of 8 × 8 values from 0 to 1, apart for training and testing. Errors name the file and the line. */
export async function loadDigits({ data, seed, quick }: DigitsOptions): Promise<Task> {
  const [most, mostHeld] = quick ? [1000, 500] : [4000, 1000];
  const random = new Random(seed);
  if (data === undefined) {
    const source = `rendered digits, seed ${seed}`;
    const [train, test] = [renderDigits(most, random, SIDE), renderDigits(mostHeld, random, SIDE)];
    return { train, test, classes: CLASSES, source };
  }
  const given = await readCsv(data, RULES);
  if (given.count < FEWEST_ROWS) throw new Error(`${data}: expected at least ${FEWEST_ROWS} rows but found ${given.count}`);
  for (let i = 0; i < given.features.length; i++) given.features[i]! /= MOST;
  const { train, test } = split(given, random);
  return { train: first(train, most), test: first(test, mostHeld), classes: CLASSES, source: `${basename(data)}, a fifth held back` };
}

function first(dataset: Dataset, most: number): Dataset {
  return select(
    dataset,
    Uint32Array.from({ length: Math.min(most, dataset.count) }, (_, row) => row),
  );
}
