/** The file of --shapes: lists of shapes, plain or as entries that say more. */

import { readFile } from 'node:fs/promises';
import { UsageError } from '../usage';
import type { GivenShape } from './cases';

/** More elements than the reference, which holds a dozen float64 arrays of them, should be asked for. */
const MOST_ELEMENTS = 2 ** 24;
const DEFAULT_EPS = 1e-5;

export interface ShapeList {
  shapes: GivenShape[];
  /** What was asked for and will not run, and why. */
  leftOut: string[];
}

export async function readShapes(file: string): Promise<ShapeList> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read '${file}': ${(error as Error).message}`, { cause: error });
  }
  return parseShapes(text, file);
}

/** As readShapes(), from text; `name` stands for it in errors. */
export function parseShapes(text: string, name: string): ShapeList {
  const found = collect(parse(text, name), name);
  const all = [...new Map(found.map((one) => [JSON.stringify(one), one])).values()];
  if (all.length === 0) throw new UsageError(`${name}: expected at least one shape but found none`);
  const shapes = all.filter(({ shape }) => sizeOf(shape) <= MOST_ELEMENTS);
  const tooLarge = all.filter(({ shape }) => sizeOf(shape) > MOST_ELEMENTS);
  if (shapes.length === 0) {
    throw new UsageError(`${name}: every shape has more than ${MOST_ELEMENTS} elements, such as [${tooLarge[0]!.shape}]`);
  }
  return { shapes, leftOut: tooLarge.map(({ shape }) => `[${shape.join(', ')}] has more than ${MOST_ELEMENTS} elements`) };
}

function parse(text: string, name: string): unknown {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${name}: expected JSON but found what is none: ${(error as Error).message}`, { cause: error });
  }
  if (Array.isArray(content)) return content;
  if (isObject(content) && Object.hasOwn(content, 'shapes')) return content.shapes;
  throw new UsageError(`${name}: expected a list of shapes, or an object with "shapes", but found ${show(content)}`);
}

/** All shapes in a tree of lists and named groups; `where` says how it is reached. */
function collect(node: unknown, where: string): GivenShape[] {
  if (Array.isArray(node)) {
    return node.flatMap((item: unknown, index) => {
      const place = `${where}[${index}]`;
      if (Array.isArray(item)) return [{ shape: checkShape(item, place), eps: DEFAULT_EPS }];
      if (isObject(item) && Object.hasOwn(item, 'shape_nc_spatial')) return [entryOf(item, place)];
      throw new UsageError(`${place}: expected a shape such as [32, 64, 56, 56] but found ${show(item)}`);
    });
  }
  if (isObject(node)) return Object.entries(node).flatMap(([key, value]) => collect(value, `${where}.${key}`));
  throw new UsageError(`${where}: expected a list of shapes but found ${show(node)}`);
}

function entryOf({ shape_nc_spatial, eps }: Record<string, unknown>, where: string): GivenShape {
  if (!Array.isArray(shape_nc_spatial)) {
    throw new UsageError(`${where}.shape_nc_spatial: expected a shape such as [32, 64, 56, 56] but found ${show(shape_nc_spatial)}`);
  }
  if (eps !== undefined && !(typeof eps === 'number' && Number.isFinite(eps) && eps >= 0)) {
    throw new UsageError(`${where}.eps: expected a number from 0 but found ${show(eps)}`);
  }
  return { shape: checkShape(shape_nc_spatial, `${where}.shape_nc_spatial`), eps: eps ?? DEFAULT_EPS };
}

function checkShape(sizes: readonly unknown[], where: string): number[] {
  if (sizes.length < 2) throw new UsageError(`${where}: expected batch, channels and maybe more but found ${show(sizes)}`);
  const shape = sizes.map((size, index) => {
    if (typeof size === 'number' && Number.isSafeInteger(size) && size > 0) return size;
    throw new UsageError(`${where}[${index}]: expected a positive integer but found ${show(size)}`);
  });
  if (!Number.isSafeInteger(sizeOf(shape))) throw new UsageError(`${where}: expected fewer than 2^53 elements but found ${show(shape)}`);
  return shape;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
