/** Saving a trained network with its running statistics, and the proof that it comes back the same. */

import * as tf from '@tensorflow/tfjs';
import { fileSystem } from '../../tfjs';
import type { Dataset } from '../../datasets/dataset';
import { accuracy } from '../../datasets/accuracy';
import { predict } from './network';

export interface Checkpoint {
  folder: string;
  /** Greatest difference of any logit of the test rows, before saving and after loading. */
  greatestDifference: number;
  /** Whether all logits are the same, bit for bit. */
  identical: boolean;
  accuracy: number;
}

export async function saveAndCompare(
  classifier: tf.LayersModel,
  folder: string,
  { features, count, labels }: Dataset,
): Promise<Checkpoint> {
  const before = predict(classifier, features, count);
  await classifier.save(fileSystem(folder));
  const loaded = await tf.loadLayersModel(fileSystem(folder));
  const after = predict(loaded, features, count);
  loaded.dispose();
  const greatestDifference = before.reduce((most, value, index) => Math.max(most, Math.abs(value - after[index]!)), 0);
  const identical = before.every((value, index) => Object.is(value, after[index]));
  return { folder, greatestDifference, identical, accuracy: accuracy(after, labels) };
}
