/** Checks of the tensors that go into an operation, shared by the layer and the functional form. */

import { streamOf } from './device';
import { BatchNormError, expected, wrongLength } from './errors';
import { checkInPlaceOperands } from './in_place';
import type { Forward } from './operations';
import type { Problem } from './problem';
import { sameShape } from './shape';
import type { Storage } from './storage';
import type { Stream } from './stream';
import { checkTensor, type Tensor } from './tensor';
import { checkBoolean, checkChoice } from './validate';

/** Per-call options of a forward pass. */
export interface ForwardOptions {
  /** Added before the activation. Of the input's shape and dtype. */
  residual?: Tensor | null | undefined;
  /** Written and returned instead of a new tensor. Of the input's shape and dtype; may be the input where nothing is saved for backward, and must be with `inPlace`. */
  out?: Tensor | null | undefined;
  /** The queue to run on; the device's own when left out. */
  stream?: Stream | undefined;
  /** Whether backward will follow. Left out: as the pass is a training pass or not. */
  saveForBackward?: boolean | undefined;
}

/** Checks what a caller may give with each forward pass. */
export function checkForward(
  problem: Problem,
  inputTensor: Tensor,
  weight: Storage | null,
  bias: Storage | null,
  options: ForwardOptions | undefined,
  saveByDefault: boolean,
): Forward {
  const { device, inPlace } = problem.settings;
  const input = checkTensor(inputTensor, 'input', device);
  const stream = streamOf(device, options?.stream);
  const residual = checkLike(options?.residual, 'options.residual', problem);
  const out = options?.out ?? null;
  const outStorage = checkLike(out, 'options.out', problem);
  const saving = options?.saveForBackward;
  const save = saving === undefined ? saveByDefault : checkBoolean(saving, 'options.saveForBackward');
  if (inPlace) {
    checkInPlaceOperands(input, outStorage, residual);
    return { problem, stream, input, residual, weight, bias, out: inputTensor, outStorage: input, save };
  }
  if (outStorage !== null) checkOutput(outStorage, input, residual, save);
  return { problem, stream, input, residual, weight, bias, out, outStorage, save };
}

/** The storage of a tensor that must match the input, such as a residual; null where it was left out. */
export function checkLike(value: unknown, name: string, { shape, dtype, settings }: Problem): Storage | null {
  if (value === undefined || value === null) return null;
  const storage = checkTensor(value, name, settings.device);
  const tensor = value as Tensor;
  if (tensor.dtype !== dtype) throw expected(`dtype ${dtype}, as the input has,`, name, value, 'ERR_DTYPE');
  if (!sameShape(tensor.shape, shape)) throw expected(`shape [${shape.join(', ')}], as the input has,`, name, value, 'ERR_SHAPE');
  return storage;
}

/** The storage of a tensor with one value per channel; null where it was left out. */
export function checkParameter(value: unknown, name: string, { channels, settings }: Problem): Storage | null {
  if (value === undefined || value === null) return null;
  const storage = checkTensor(value, name, settings.device);
  const { shape, dtype } = value as Tensor;
  if (dtype !== settings.dtype) throw expected(`dtype ${settings.dtype}, that of parameters and statistics,`, name, value, 'ERR_DTYPE');
  if (shape.length !== 1) throw expected(`a tensor of shape [${channels}]`, name, value, 'ERR_SHAPE');
  if (shape[0] !== channels) throw wrongLength(name, channels, shape[0]!);
  return storage;
}

/** The storage of the gradient that backward starts from. */
export function checkGradient(value: unknown, problem: Problem): Storage {
  const storage = checkLike(value, 'gradOutput', problem);
  if (storage === null) throw expected('a Tensor', 'gradOutput', value);
  return storage;
}

export function checkRunningVariance(value: unknown): 'unbiased' | 'biased' {
  return checkChoice(value, 'options.runningVariance', ['unbiased', 'biased']);
}

function checkOutput(out: Storage, input: Storage, residual: Storage | null, save: boolean): void {
  if (out === residual) throw aliased('a tensor apart from the residual for options.out but received the residual itself');
  if (out === input && save) {
    throw aliased(
      'a tensor apart from the input for options.out but received the input itself, which backward needs: pass saveForBackward: false, ' +
        'or let the batch norm be inPlace: true, whose backward does without',
    );
  }
}

function aliased(message: string): BatchNormError {
  return new BatchNormError('ERR_INVALID_ARGUMENT', `Expected ${message}`);
}
