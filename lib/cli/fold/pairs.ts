/** Which batch norm follows which layer, as the user says by patterns. */

import type { SafetensorsInfo } from '../../interop/safetensors';
import { UsageError } from '../usage';

export interface Pattern {
  /** As it was given. */
  text: string;
  layer: string;
  batchNorm: string;
}

export interface Pair {
  layer: string;
  batchNorm: string;
}

export function parsePattern(text: string): Pattern {
  const [layer, batchNorm, ...more] = text.split('=');
  if (!layer || !batchNorm || more.length > 0) {
    throw new UsageError(`expected a pair such as 'conv1=bn1' or '*.conv1=*.bn1' for --pairs but received '${text}'`);
  }
  const stars = (side: string) => side.split('*').length - 1;
  if (stars(layer) === stars(batchNorm)) return { text, layer, batchNorm };
  throw new UsageError(`expected as many * on both sides for --pairs but received '${text}'`);
}

/** What a batch norm may be folded into: all that has a weight of two dimensions or more. */
export function layersOf(tensors: ReadonlyMap<string, SafetensorsInfo>, batchNorms: readonly string[]): string[] {
  const layers = [...tensors].flatMap(([name, { shape }]) => (name.endsWith('.weight') && shape.length >= 2 ? [name.slice(0, -7)] : []));
  const norms = new Set(batchNorms);
  return layers.filter((name) => !norms.has(name));
}

/** The pairs that the patterns choose. @throws {UsageError} for a pattern without any, and where a layer or a batch norm is in two. */
export function choosePairs(patterns: readonly Pattern[], layers: readonly string[], batchNorms: readonly string[]): Pair[] {
  const chosen = new Map<string, Pair>();
  const norms = new Set(batchNorms);
  for (const pattern of patterns) {
    const pairs = pairsOf(pattern, layers, norms);
    if (pairs.length === 0) throw new UsageError(explainNone(pattern, layers, batchNorms));
    for (const pair of pairs) chosen.set(JSON.stringify(pair), pair); // the same pair by two patterns is one
  }
  const pairs = [...chosen.values()];
  checkOnce(pairs);
  return pairs;
}

function checkOnce(pairs: readonly Pair[]): void {
  const byNorm = groups(pairs, ({ batchNorm }) => batchNorm);
  const byLayer = groups(pairs, ({ layer }) => layer);
  for (const { layer, batchNorm } of pairs) {
    const layersOfNorm = byNorm.get(batchNorm)!.map((pair) => `'${pair.layer}'`);
    if (layersOfNorm.length > 1)
      throw new UsageError(`batch norm '${batchNorm}' would be folded twice, into ${layersOfNorm.join(' and ')}`);
    const normsOfLayer = byLayer.get(layer)!.map((pair) => `'${pair.batchNorm}'`);
    if (normsOfLayer.length > 1)
      throw new UsageError(`layer '${layer}' would have two batch norms folded into it: ${normsOfLayer.join(' and ')}`);
  }
}

function groups<T, Key>(values: Iterable<T>, keyOf: (value: T) => Key): Map<Key, T[]> {
  const found = new Map<Key, T[]>();
  for (const value of values) {
    const group = found.get(keyOf(value));
    if (group === undefined) found.set(keyOf(value), [value]);
    else group.push(value);
  }
  return found;
}

function pairsOf({ layer, batchNorm }: Pattern, layers: readonly string[], norms: ReadonlySet<string>): Pair[] {
  const [left, right] = [layer.split('*'), batchNorm.split('*')];
  const normsOf = left.length <= 2 ? lookUp(left, right, norms) : compare(left, right, norms);
  return layers.flatMap((name) => normsOf(name).map((norm) => ({ layer: name, batchNorm: norm })));
}

/** The batch norms that fit a layer of this name. */
type NormsOf = (layer: string) => string[];

/** With one star at most a layer's name tells that of its batch norm; to compare each with each takes minutes for a model of 40,000 layers. */
function lookUp([begin, end]: readonly string[], right: readonly string[], norms: ReadonlySet<string>): NormsOf {
  return (layer) => {
    const star = starOf(layer, begin!, end);
    const norm = star === undefined ? undefined : right.join(star);
    return norm !== undefined && norms.has(norm) ? [norm] : [];
  };
}

/** What the star between them stands for in a name, `''` where the pattern has none, or undefined for a name that does not fit. */
function starOf(name: string, begin: string, end: string | undefined): string | undefined {
  if (end === undefined) return name === begin ? '' : undefined;
  const fits = name.startsWith(begin) && name.endsWith(end) && name.length >= begin.length + end.length;
  return fits ? name.slice(begin.length, name.length - end.length) : undefined;
}

/** Stars stand for as much in both names, so that only batch norms of one length come into question. */
function compare(left: readonly string[], right: readonly string[], norms: ReadonlySet<string>): NormsOf {
  const byLength = groups(norms, (norm) => norm.length);
  const shift = right.join('').length - left.join('').length;
  return (layer) => (byLength.get(layer.length + shift) ?? []).filter((norm) => matches(left, layer, right, norm));
}

/**
 * Whether two names fit two patterns, given as what lies between their stars, with each star standing for the same in both. Not by a regular
 * expression, whose time grows exponentially with the number of stars.
 */
function matches(left: readonly string[], a: string, right: readonly string[], b: string): boolean {
  if (!a.startsWith(left[0]!) || !b.startsWith(right[0]!)) return false;
  let ends = new Set([left[0]!.length]); // in `a`, of what the patterns up to a star can cover
  let shift = right[0]!.length - left[0]!.length; // from there to the end in `b`: stars cover as much of both
  for (let star = 1; star < left.length; ++star) {
    const [nextLeft, nextRight] = [left[star]!, right[star]!];
    const next = new Set<number>();
    let covered = false;
    for (let i = 0; i <= a.length; ++i) {
      covered = ends.has(i) || (covered && a[i - 1] === b[i - 1 + shift]);
      if (covered && a.startsWith(nextLeft, i) && b.startsWith(nextRight, i + shift)) next.add(i + nextLeft.length);
    }
    ends = next;
    shift += nextRight.length - nextLeft.length;
  }
  return ends.has(a.length) && a.length + shift === b.length;
}

function explainNone(pattern: Pattern, layers: readonly string[], batchNorms: readonly string[]): string {
  return `--pairs '${pattern.text}' fits no layer with a batch norm. Layers: ${list(layers)}. Batch norms: ${list(batchNorms)}`;
}

/** A name of a file that nobody has looked at yet, on its way to a terminal. */
export function printable(name: string): string {
  const line = name.replaceAll(/\p{C}/gu, '?');
  return line.length > 80 ? `${line.slice(0, 80)}…` : line;
}

export function list(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const more = names.length > 12 ? ` and ${names.length - 12} more` : '';
  return `${names.slice(0, 12).map(printable).join(', ')}${more}`;
}
