/** Tables of numbers with the class in the last column, and an optional line of names on top. */

import { readFile } from 'node:fs/promises';
import type { Dataset } from './dataset';

const MOST_CLASSES = 256;

/** What is known of a file besides that it holds numbers. */
export interface Rules {
  /** Values a row, not counting the class. */
  width: number;
  /** No value is below the least or above the most. */
  least: number;
  most: number;
  classes: number;
}

/** Reads a file of rows `value, …, value, class`. Errors name the file and the line. */
export async function readCsv(file: string, rules?: Rules): Promise<Dataset> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`cannot read '${file}': ${(error as Error).message}`, { cause: error });
  }
  return parseCsv(text, file, rules);
}

/** As readCsv(), from text; `name` stands for it in errors. */
export function parseCsv(text: string, name: string, rules?: Rules): Dataset {
  const classes = rules?.classes ?? MOST_CLASSES;
  const lines = text.split(/\r?\n/);
  const first = lines.findIndex((line) => line.trim() !== '');
  const names = (lines[first] ?? '').split(',');
  const hasHeader = names.every((field) => Number.isNaN(parse(field)));
  const features: number[] = [];
  const labels: number[] = [];
  let columns = rules ? rules.width + 1 : hasHeader ? names.length : 0;
  lines.forEach((line, index) => {
    if ((hasHeader && index === first) || line.trim() === '') return;
    const where = `${name}, line ${index + 1}`;
    const fields = line.split(',');
    columns ||= fields.length;
    if (fields.length !== columns) throw new Error(`${where}: expected ${columns} values but found ${fields.length}`);
    const values = fields.map(parse);
    const bad = values.findIndex((value) => !Number.isFinite(Math.fround(value)));
    if (bad >= 0)
      throw new Error(`${where}: expected ${numberWanted(values[bad]!)} in column ${bad + 1} but found '${fields[bad]!.trim()}'`);
    const label = values.pop()!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new Error(`${where}: expected a class from 0 to ${classes - 1} in the last column but found ${label}`);
    }
    if (rules) checkRange(values, rules, where);
    for (const value of values) features.push(value);
    labels.push(label);
  });
  if (labels.length === 0) throw new Error(`${name}: expected rows of numbers with the class last but found none`);
  if (columns < 2)
    throw new Error(`${name}, line ${hasHeader ? 2 : 1}: expected values and a class, separated by commas, but found one column`);
  return { features: Float32Array.from(features), labels: Uint8Array.from(labels), count: labels.length, width: columns - 1 };
}

function checkRange(values: readonly number[], { least, most }: Rules, where: string): void {
  const bad = values.findIndex((value) => value < least || value > most);
  if (bad < 0) return;
  throw new Error(`${where}: expected a value from ${least} to ${most} in column ${bad + 1} but found ${values[bad]}`);
}

/** What a field that is none was expected to be. */
function numberWanted(value: number): string {
  return Number.isFinite(value) ? 'a number within the range of float32' : 'a number';
}

function parse(field: string): number {
  return field.trim() === '' ? Number.NaN : Number(field);
}
