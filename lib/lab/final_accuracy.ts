/** The measurement that most experiments make. */

import type { Lab, LabNetworkOptions } from './lab';
import { type TrainingOptions, train } from './network/training';

/** Trains a network of the lab, whose weights and order of rows the repeat gives, and tells its test accuracy. */
export function finalAccuracy(lab: Lab, repeat: number, network: LabNetworkOptions, training: Omit<TrainingOptions, 'random'>): number {
  const trained = lab.network({ ...network, random: lab.random(repeat, 1) });
  train(trained, lab.train, { ...training, random: lab.random(repeat, 2) });
  const { accuracy } = trained.test(lab.test);
  trained.dispose();
  return accuracy;
}
