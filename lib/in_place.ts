/** The output in the input's place: which batch norms can do without the input in backward, and what their forward pass may be given. */

import type { Activation } from './activation';
import type { Backend } from './backend';
import { BatchNormError } from './errors';
import type { Storage } from './storage';
import { checkBoolean } from './validate';

/** What keeps backward from recovering the pre-activation from the output. */
const LOSSES: Readonly<Partial<Record<Activation, string>>> = {
  relu: 'makes 0 of everything below 0',
  elu: 'is flat far below 0',
  sigmoid: 'is flat far from 0',
  tanh: 'is flat far from 0',
  silu: 'has two arguments for most values below 0',
  gelu: 'has two arguments for most values below 0',
};

export function checkInPlace(value: unknown, activation: Activation, backend: Backend): boolean {
  if (value === undefined || !checkBoolean(value, 'options.inPlace')) return false;
  if (backend.library === 'cudnn') throw refused(`backend 'native'`, `backend 'cudnn', whose backward reads the input`);
  const loss = LOSSES[activation];
  if (loss !== undefined) throw refused(`activation 'identity' or 'leakyRelu'`, `'${activation}', which ${loss} and cannot be undone`);
  return true;
}

/** Of a pass that writes over its input: an output elsewhere is a contradiction, and a residual could not be taken out again. */
export function checkInPlaceOperands(input: Storage, out: Storage | null, residual: unknown): void {
  if (out !== null && out !== input)
    throw refused('no options.out but the input', 'another tensor: the output takes the place of the input');
  checkNoResidual(residual, 'options.residual');
}

/** Backward does not see a residual in the output, so there must have been none. */
export function checkNoResidual(value: unknown, name: string): void {
  if ((value ?? null) !== null) throw refused(`no ${name}`, 'one: the output alone does not tell the input then');
}

function refused(expectation: string, received: string): BatchNormError {
  return new BatchNormError('ERR_INVALID_ARGUMENT', `Expected ${expectation} with inPlace: true but received ${received}`);
}
