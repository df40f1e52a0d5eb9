/** What rounding the mean to one float32 costs, were everything else exact. */

import { backward, batchStatistics, forward, viewOf } from '../../lib/validation/oracle';
import { EPS } from '../cpu/data';
import type { Contender } from './contender';

export const roundedMean: Contender = {
  name: 'one rounded mean, all else exact',
  version: '',
  note: 'float64 but for the mean, which is rounded to float32; not a library',
  role: 'yardstick',
  layouts: ['channels first'],
  dtypes: ['float32'],
  step: async ({ x, dy, shape }) => {
    const view = viewOf(shape);
    const { mean, variance } = batchStatistics(x, view);
    const statistics = { mean: Float32Array.from(mean), variance };
    const { input, weight, bias } = backward(dy, x, view, statistics, false, { eps: EPS });
    return { output: forward(x, view, statistics, { eps: EPS }), dx: input, dγ: weight, dβ: bias };
  },
  close: () => {},
};
