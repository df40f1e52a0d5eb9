/** What each quantity of a problem should be, and how far from that it may lie. */

import type { DType } from '../../dtype';
import { storedVariance } from '../../validation/oracle';
import { type Bound, backwardBound, forwardBound, runningBound, statisticsBound } from '../../validation/tolerance';
import type { Case } from './cases';
import type { Inputs } from './data';

export const QUANTITIES = ['output', 'running mean', 'running variance', 'dx', 'dγ', 'dβ', 'dresidual'] as const;
export type Quantity = (typeof QUANTITIES)[number];

/** Of running statistics: the weight of the new value. */
export const MOMENTUM = 0.1;

export interface Expectation {
  quantity: Quantity;
  /** In which it is stored. */
  dtype: DType;
  bound: Bound;
}

export function expectationsOf({ operation }: Case, inputs: Inputs): Expectation[] {
  switch (operation) {
    case 'training':
      return [output(inputs), ...runningStatistics(inputs)];
    case 'inference':
      return [output(inputs)];
    case 'backward':
      return gradients(inputs, false);
    case 'backward-constant':
      return gradients(inputs, true);
  }
}

function output({ pass }: Inputs): Expectation {
  return { quantity: 'output', dtype: pass.dtype, bound: forwardBound(pass) };
}

function runningStatistics({ pass, runningMean, runningVariance }: Inputs): Expectation[] {
  const { parameterDtype: dtype, view } = pass;
  const { mean, variance } = statisticsBound(pass);
  const unbiased = {
    expected: storedVariance(variance.expected, view, 'unbiased'),
    tolerance: storedVariance(variance.tolerance, view, 'unbiased'),
  };
  return [
    { quantity: 'running mean', dtype, bound: runningBound(runningMean, mean, MOMENTUM, dtype) },
    { quantity: 'running variance', dtype, bound: runningBound(runningVariance, unbiased, MOMENTUM, dtype) },
  ];
}

function gradients({ pass, dy, residual }: Inputs, constant: boolean): Expectation[] {
  const { dtype, parameterDtype } = pass;
  const bounds = backwardBound(dy, pass, constant);
  return [
    { quantity: 'dx', dtype, bound: bounds.input },
    { quantity: 'dγ', dtype: parameterDtype, bound: bounds.weight },
    { quantity: 'dβ', dtype: parameterDtype, bound: bounds.bias },
    ...(residual ? [{ quantity: 'dresidual', dtype, bound: bounds.residual } as const] : []),
  ];
}
