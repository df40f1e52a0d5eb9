/** The problems: every operation with every dtype, on every layout, with every activation, and on data chosen to break an implementation. */

import type { DType } from '../../dtype';
import { DTYPES } from '../../validation/number_format';
import { ACTIVATIONS, type Activation } from '../../validation/oracle';
import { DATA_KINDS, type DataKind } from './data';

export type Operation = 'training' | 'inference' | 'backward' | 'backward-constant';
export const OPERATIONS: readonly Operation[] = ['training', 'inference', 'backward', 'backward-constant'];

/** Where the channels are, in words, and in a shape. */
export interface Layout {
  kind: string;
  shape: readonly number[];
  axis: number;
}

/** One problem. Its name says all of it, so its data follow from name and seed alone. */
export interface Case {
  name: string;
  operation: Operation;
  dtype: DType;
  layout: Layout;
  eps: number;
  activation: Activation;
  residual: boolean;
  data: DataKind;
}

/** A shape that a user asks for, channels second. */
export interface GivenShape {
  shape: readonly number[];
  eps: number;
}

const EPS = 1e-5;

const first = (...shape: number[]): Layout => ({ kind: 'channels-first', shape, axis: 1 });
const last = (...shape: number[]): Layout => ({ kind: 'channels-last', shape, axis: -1 });
const flat = (...shape: number[]): Layout => ({ kind: '2d', shape, axis: 1 });

/** Channels so long that they are cut into parts, whose sums are merged. */
const LARGE = [first(2, 1, 200, 200), last(12000, 4)];

interface Grid {
  /** Long, short and odd runs of a channel's values; channels last; rows of single values. */
  layouts: readonly Layout[];
  /** Those on which all activations run. */
  activations: readonly Layout[];
  /** Those on which all data run. */
  data: readonly Layout[];
}

const QUICK: Grid = {
  layouts: [first(2, 3, 36, 40), first(16, 8, 2, 2), first(5, 3, 7, 7), last(4, 7, 5, 8), last(6, 29, 3), flat(64, 10)],
  activations: [first(5, 3, 7, 7)],
  data: [first(8, 4, 59), last(8, 59, 4)],
};

const FULL: Grid = {
  layouts: [
    first(2, 3, 128, 128),
    first(4, 8, 56, 56),
    first(128, 64, 2, 2),
    first(16, 32, 7, 7),
    first(4, 3, 31, 33),
    first(2, 3, 5, 7, 11),
    last(8, 28, 28, 32),
    last(3000, 17),
    last(6, 29, 3),
    flat(256, 128),
    { kind: 'axis-0', shape: [5, 4000], axis: 0 },
  ],
  activations: [first(16, 16, 7, 7), first(2, 4, 900), last(40, 30, 8), flat(128, 24)],
  data: [first(40, 4, 59), first(2, 3, 5000), last(40, 59, 4), flat(1000, 6)],
};

/** The built-in problems; the quick ones are few and small. */
export function builtInCases(quick: boolean): Case[] {
  const grid = quick ? QUICK : FULL;
  const ordinary = [
    ...grid.layouts.flatMap((layout) => [make(layout, 'identity', false), make(layout, 'relu', true)]),
    ...grid.activations.flatMap((layout) =>
      ACTIVATIONS.flatMap((activation) => [make(layout, activation, false), make(layout, activation, true)]),
    ),
  ];
  const adversarial = grid.data.flatMap((layout) =>
    DATA_KINDS.flatMap((data) =>
      quick
        ? [make(layout, 'identity', false, data)]
        : [make(layout, 'identity', false, data), make(layout, 'relu', true, data), make(layout, 'gelu', false, data)],
    ),
  );
  const large = LARGE.flatMap((layout) => withOperationsAndDTypes(make(layout, 'identity', false)));
  const affordable = quick ? large.filter(({ dtype }) => dtype === 'float32') : large;
  return unique([...[...ordinary, ...adversarial].flatMap(withOperationsAndDTypes), ...affordable]);
}

/** Problems of the shapes a user gives, channels first and last; the activations take turns. */
export function casesOf(shapes: readonly GivenShape[], quick: boolean): Case[] {
  const turns = [make(flat(), 'identity', false), make(flat(), 'relu', true), make(flat(), 'gelu', false), make(flat(), 'leakyRelu', true)];
  const drafts = shapes.flatMap(({ shape, eps }, index) =>
    layoutsOf(shape).map((layout, second) => ({ ...turns[(index + second) % turns.length]!, layout, eps })),
  );
  const cases = unique(drafts.flatMap(withOperationsAndDTypes));
  return quick ? cases.filter(({ dtype, layout }) => dtype === 'float32' && layout.kind !== 'channels-last') : cases;
}

function layoutsOf(shape: readonly number[]): Layout[] {
  if (shape.length === 2) return [flat(...shape)];
  const [batch, channels, ...sizes] = shape as [number, number, ...number[]];
  return [first(...shape), last(batch, ...sizes, channels)];
}

type Draft = Omit<Case, 'name' | 'operation' | 'dtype'>;

function make(layout: Layout, activation: Activation, residual: boolean, data: DataKind = 'ordinary'): Draft {
  return { layout, eps: EPS, activation, residual, data };
}

function withOperationsAndDTypes(draft: Draft): Case[] {
  // One value has no statistics of its own.
  const operations = valuesPerChannel(draft.layout) > 1 ? OPERATIONS : (['inference', 'backward-constant'] as const);
  return operations.flatMap((operation) => DTYPES.map((dtype) => ({ name: nameOf(draft, operation, dtype), operation, dtype, ...draft })));
}

export function valuesPerChannel({ shape, axis }: Layout): number {
  return shape.reduce((product, size) => product * size, 1) / shape.at(axis)!;
}

function nameOf({ layout, eps, activation, residual, data }: Draft, operation: Operation, dtype: DType): string {
  const layoutName = `${layout.kind}-${layout.shape.join('x')}`;
  const parts = [operation, dtype, layoutName, `${activation}${residual ? '+residual' : ''}`, data];
  return [...parts, ...(eps === EPS ? [] : [`eps-${eps}`])].join('/');
}

function unique(cases: readonly Case[]): Case[] {
  return [...new Map(cases.map((one) => [one.name, one])).values()];
}
