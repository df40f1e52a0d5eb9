/** From what was measured to the constants, and to what they make of the plan. */

import { nativeDevice } from '../../../lib/device';
import type { Device } from '../../../lib/index';
import { explain } from './candidates';
import { asChoice, CONSTANTS, type Constants } from './constants';
import { type Decision, decisionsOf } from './decisions';
import { directConstants } from './direct';
import { errorOf, fitConstants, type Model } from './fit';
import type { Point } from './measure';
import type { Recording } from './recording';

interface BeforeAndAfter<T> {
  before: T;
  after: T;
}

export interface Tuned extends Recording {
  constants: BeforeAndAfter<Constants>;
  /** The mean factor, less 1, by which predictions are off. */
  error: BeforeAndAfter<number>;
  decisions: BeforeAndAfter<Decision[]>;
}

/** The plan's prediction of each point, under other constants. */
export function modelOf(device: Device, points: readonly Point[]): Model {
  const { native } = nativeDevice(device);
  return (constants) => {
    const predicted = points.map(
      ({ problem, operation, choice }) => explain(native, problem, operation, `${choice},${asChoice(constants)}`).seconds,
    );
    native.force('');
    return predicted;
  };
}

export function tune(model: Model, recording: Recording, before: Constants): Tuned {
  const { points } = recording;
  const measured = points.map(({ seconds }) => seconds);
  const direct = directConstants(recording.direct);
  const free = CONSTANTS.filter((name) => !(name in direct));
  const after = fitConstants(model, measured, { ...before, ...direct }, free);
  const [was, is] = [model(before), model(after)];
  return {
    ...recording,
    constants: { before, after },
    error: { before: errorOf(was, measured), after: errorOf(is, measured) },
    decisions: { before: decisionsOf(points, was), after: decisionsOf(points, is) },
  };
}
