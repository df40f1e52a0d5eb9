import type { Experiment } from '../experiment';
import { convergence } from './convergence';
import { covariateShift } from './covariate_shift';
import { depth } from './depth';
import { gradients } from './gradients';
import { initialization } from './initialization';
import { learningRate } from './learning_rate';
import { placement } from './placement';
import { recurrence } from './recurrence';
import { regularization } from './regularization';
import { smallBatches } from './small_batches';
import { statistics } from './statistics';

/** In the order of the report. */
export const experiments: readonly Experiment[] = [
  statistics,
  placement,
  covariateShift,
  convergence,
  learningRate,
  initialization,
  gradients,
  depth,
  regularization,
  smallBatches,
  recurrence,
];
