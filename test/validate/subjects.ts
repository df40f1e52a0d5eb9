/** A backend that passes for cuDNN, for machines that have none. */

import { type Results, type Subject, subjectsOn } from '../../lib/cli/validate/subject';
import { device } from '../helpers/device';

/** Gives what ours gives, changed; what `change` throws, it throws. */
export function cudnnLike(change: (results: Results) => Results): Subject {
  const [native] = subjectsOn([device]);
  return {
    name: `${device.name} cudnn`,
    device,
    backend: 'cudnn',
    run: async (problem, inputs) => change(await native!.run(problem, inputs)),
  };
}
