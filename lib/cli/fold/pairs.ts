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
  return layers.filter((name) => !batchNorms.includes(name));
}

/** The pairs that the patterns choose. @throws {UsageError} for a pattern without any, and where a layer or a batch norm is in two. */
export function choosePairs(patterns: readonly Pattern[], layers: readonly string[], batchNorms: readonly string[]): Pair[] {
  const chosen = new Map<string, Pair>();
  for (const pattern of patterns) {
    const pairs = pairsOf(pattern, layers, batchNorms);
    if (pairs.length === 0) throw new UsageError(explainNone(pattern, layers, batchNorms));
    for (const pair of pairs) chosen.set(JSON.stringify(pair), pair); // the same pair by two patterns is one
  }
  const pairs = [...chosen.values()];
  for (const { layer, batchNorm } of pairs) {
    const layersOfNorm = pairs.flatMap((pair) => (pair.batchNorm === batchNorm ? [`'${pair.layer}'`] : []));
    if (layersOfNorm.length > 1)
      throw new UsageError(`batch norm '${batchNorm}' would be folded twice, into ${layersOfNorm.join(' and ')}`);
    const normsOfLayer = pairs.flatMap((pair) => (pair.layer === layer ? [`'${pair.batchNorm}'`] : []));
    if (normsOfLayer.length > 1)
      throw new UsageError(`layer '${layer}' would have two batch norms folded into it: ${normsOfLayer.join(' and ')}`);
  }
  return pairs;
}

function pairsOf({ layer, batchNorm }: Pattern, layers: readonly string[], batchNorms: readonly string[]): Pair[] {
  const left = new RegExp(`^${expression(layer, () => '.*')}$`, 's');
  const right = new RegExp(`^${expression(batchNorm, () => '.*')}$`, 's');
  // One expression over both names: what a star stood for on the left is asked for again on the right.
  const both = new RegExp(`^${expression(layer, () => '(.*)')}=${expression(batchNorm, (star) => `\\${star}`)}$`, 's');
  const candidates = batchNorms.filter((name) => right.test(name));
  return layers
    .filter((name) => left.test(name))
    .flatMap((name) => {
      return candidates.filter((norm) => both.test(`${name}=${norm}`)).map((norm) => ({ layer: name, batchNorm: norm }));
    });
}

function expression(pattern: string, star: (number: number) => string): string {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return parts.reduce((text, part, number) => `${text}(?:${star(number)})${part}`);
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
