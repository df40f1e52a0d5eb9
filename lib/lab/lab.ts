/** Where experiments are done: the data, the seed and the device, and who watches. */

import { setImmediate } from 'node:timers/promises';
import type { Dataset } from '../datasets/dataset';
import { Random } from '../random';
import { Network, type NetworkOptions } from './network/network';

export interface LabOptions {
  train: Dataset;
  test: Dataset;
  classes: number;
  seed: number;
  quick: boolean;
  /** Of batch norm. */
  device: string;
  /** Called as an experiment goes on, with the share of it that is done. */
  watch?(share: number): void;
}

/** Of a classifier of the lab's data on the lab's device. */
export type LabNetworkOptions = Omit<NetworkOptions, 'inputs' | 'classes' | 'device' | 'units' | 'random'> & { units?: number };

const UNITS = 32;

export class Lab {
  readonly train: Dataset;
  readonly test: Dataset;
  readonly classes: number;
  readonly seed: number;
  readonly quick: boolean;
  readonly device: string;
  readonly #watch: (share: number) => void;

  constructor({ train, test, classes, seed, quick, device, watch = () => {} }: LabOptions) {
    this.train = train;
    this.test = test;
    this.classes = classes;
    this.seed = seed;
    this.quick = quick;
    this.device = device;
    this.#watch = watch;
  }

  /** One of two sizes, for a quick run and for a full one. */
  size(quick: number, full: number): number {
    return this.quick ? quick : full;
  }

  /** Numbers that depend on the seed, on the repeat, and on what they are for, and on nothing that ran before. */
  random(repeat: number, purpose: number): Random {
    return new Random(Math.imul(this.seed + 1, 0x9e3779b1) + Math.imul(repeat + 1, 0x85ebca6b) + Math.imul(purpose, 0xc2b2ae35));
  }

  /** A classifier of this data; `random` gives its weights. */
  network(options: LabNetworkOptions & { random: Random }): Network {
    return new Network({ units: UNITS, ...options, inputs: this.train.width, classes: this.classes, device: this.device });
  }

  /** Does one piece of work after the other, and tells how far it is. */
  async each<T, R>(pieces: readonly T[], work: (piece: T) => R | Promise<R>): Promise<R[]> {
    const results: R[] = [];
    for (const piece of pieces) {
      results.push(await work(piece));
      this.#watch(results.length / pieces.length);
      await setImmediate(); // whoever watches, and whoever interrupts, gets a turn
    }
    return results;
  }
}

/** 0 … count − 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Every combination of one of each list. */
export function combinations<A, B>(as: readonly A[], bs: readonly B[]): [A, B][] {
  return as.flatMap((a) => bs.map((b): [A, B] => [a, b]));
}
