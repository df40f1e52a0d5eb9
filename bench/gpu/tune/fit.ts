/** Constants that explain measured times: the model is the plan's own, and only its constants are moved. */

import { BOUNDS, type Constant, type Constants } from './constants';

/** Predicts the seconds of each point. */
export type Model = (constants: Constants) => number[];

type Move = (constants: Constants) => Constants;

/** The mean factor, less 1, by which predictions are off. */
export function errorOf(predicted: readonly number[], measured: readonly number[]): number {
  const logs = measured.map((seconds, i) => Math.abs(Math.log(predicted[i]! / seconds)));
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length) - 1;
}

const bounded = (name: Constant, value: number): number => Math.min(BOUNDS[name][1], Math.max(BOUNDS[name][0], value));

const scale =
  (name: Constant, factor: number): Move =>
  (constants) => ({ ...constants, [name]: bounded(name, constants[name] * factor) });

/** What one has more, each of the others has less. */
const shift =
  (one: Constant, others: readonly Constant[], factor: number): Move =>
  (constants) => {
    const scaled = scale(one, factor)(constants);
    const seconds = scaled[one] - constants[one];
    return { ...scaled, ...Object.fromEntries(others.map((name) => [name, bounded(name, constants[name] - seconds)])) };
  };

/** Predictions add these up, and one alone can be stuck where only less of the other would help. Each team has one of the meetings, or none. */
const ADDED: readonly [Constant, readonly Constant[]][] = [
  ['latency', ['piece']],
  ['latency', ['clusterMeeting', 'gridMeeting']],
  ['piece', ['clusterMeeting', 'gridMeeting']],
];

function movesOf(free: readonly Constant[], stride: number): Move[] {
  const isFree = (name: Constant) => free.includes(name);
  const scales = (factor: number) => free.map((name) => scale(name, factor));
  const shifts = (factor: number) => ADDED.filter(([one]) => isFree(one)).map(([one, others]) => shift(one, others.filter(isFree), factor));
  return [stride, 1 / stride].flatMap((factor) => [...scales(factor), ...shifts(factor)]);
}

/** One move after the other is made as long as that helps, in ever smaller strides. What a GPU does not have is 0, and stays so. */
export function fitConstants(model: Model, measured: readonly number[], start: Constants, free: readonly Constant[]): Constants {
  const there = free.filter((name) => start[name] > 0);
  let best = { ...start };
  let least = errorOf(model(best), measured);
  const improves = (move: Move): boolean => {
    const moved = move(best);
    const error = errorOf(model(moved), measured);
    if (error >= least * (1 - 1e-4)) return false;
    best = moved;
    least = error;
    return true;
  };
  for (let stride = 2; stride > 1.01; stride = Math.sqrt(stride)) {
    const moves = movesOf(there, stride);
    for (let sweep = 0; sweep < 20; ++sweep) {
      if (moves.filter(improves).length === 0) break;
    }
  }
  return best;
}
