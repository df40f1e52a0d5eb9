/** Constants that explain measured times: the model is the plan's own, and only its constants are moved. */

import { BOUNDS, type Constant, type Constants } from './constants';

/** Predicts the seconds of each point. */
export type Model = (constants: Constants) => number[];

/** The mean factor, less 1, by which predictions are off. */
export function errorOf(predicted: readonly number[], measured: readonly number[]): number {
  const logs = measured.map((seconds, i) => Math.abs(Math.log(predicted[i]! / seconds)));
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length) - 1;
}

/** One constant after the other is moved up or down as long as that helps, in ever smaller strides. */
export function fitConstants(model: Model, measured: readonly number[], start: Constants, free: readonly Constant[]): Constants {
  const best = { ...start };
  let least = errorOf(model(best), measured);
  const improves = (name: Constant, factor: number): boolean => {
    const [low, high] = BOUNDS[name];
    const value = Math.min(high, Math.max(low, best[name] * factor));
    const error = errorOf(model({ ...best, [name]: value }), measured);
    if (error >= least * (1 - 1e-9)) return false;
    best[name] = value;
    least = error;
    return true;
  };
  for (let stride = 2; stride > 1.01; stride = Math.sqrt(stride)) {
    for (let sweep = 0; sweep < 20; ++sweep) {
      const moved = free.filter((name) => improves(name, stride) || improves(name, 1 / stride));
      if (moved.length === 0) break;
    }
  }
  return best;
}
