/** From the options to data: digits of our own, or those in files. */

import { basename } from 'node:path';
import { Random } from '../../random';
import { readCsv } from '../../datasets/csv';
import { type Dataset, split, type Task } from '../../datasets/dataset';
import { renderDigits } from '../../datasets/digits';

export interface TaskOptions {
  data: string | undefined;
  test: string | undefined;
  seed: number;
  quick: boolean;
}

const FEWEST_ROWS = 50;

export async function loadTask({ data, test, seed, quick }: TaskOptions): Promise<Task> {
  const random = new Random(seed);
  if (data === undefined) {
    const [train, held] = quick ? [2000, 500] : [5000, 1000];
    const source = `rendered digits, seed ${seed}`;
    return { train: renderDigits(train, random), test: renderDigits(held, random), classes: 10, source };
  }
  const given = await readCsv(data);
  if (given.count < FEWEST_ROWS) throw new Error(`${data}: expected at least ${FEWEST_ROWS} rows to train on but found ${given.count}`);
  const parts = test === undefined ? split(given, random) : { train: given, test: await readCsv(test) };
  const classes = given.labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  if (classes < 2) throw new Error(`${data}: expected at least two classes but every row is of class 0`);
  if (test !== undefined) checkTest(parts.test, test, given, data, classes);
  scaleToUnit(parts.train, parts.test);
  const source = test === undefined ? `${basename(data)}, a fifth held back for testing` : `${basename(data)}, tested on ${basename(test)}`;
  return { ...parts, classes, source };
}

function checkTest(held: Dataset, name: string, given: Dataset, data: string, classes: number): void {
  if (held.width !== given.width) throw new Error(`${name}: expected ${given.width} values a row as in '${data}' but found ${held.width}`);
  const stranger = held.labels.findIndex((label) => label >= classes);
  if (stranger >= 0) throw new Error(`${name}: expected classes below ${classes} as in '${data}' but found ${held.labels[stranger]}`);
}

/** Divides both by the largest magnitude in the training part, in place. */
function scaleToUnit(train: Dataset, test: Dataset): void {
  const largest = train.features.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (const { features } of [train, test]) {
    for (let i = 0; i < features.length; i++) features[i]! /= largest;
  }
}
