/** A batch as the parts that are normalized each by itself, and what a training pass saves of them. */

import { DTYPE_CODES, type NativePart } from './addon';
import { bytesPerElement } from './dtype';
import type { Problem } from './problem';
import { correcting } from './renorm';

/** A part of a batch, or all of it. */
export interface VirtualBatch {
  readonly index: number;
  /** As of a problem. */
  readonly outer: number;
  /** Where it lies in the tensors of the whole batch; null where it is the whole. */
  readonly part: NativePart | null;
}

/** In the order of the samples. */
export function virtualBatches(problem: Problem, residual: boolean): readonly VirtualBatch[] {
  const { parts, outer, channels, inner } = problem;
  if (parts === 1) return [{ index: 0, outer, part: null }];
  const statisticsBytes = statisticsBytesOfPart(problem);
  const maskBytes = maskBytesOfPart(problem, residual);
  return Array.from({ length: parts }, (_, index) => {
    const begin = beginOf(problem, index);
    return {
      index,
      outer: beginOf(problem, index + 1) - begin,
      part: { elements: begin * channels * inner, statisticsBytes: index * statisticsBytes, maskBytes: index * maskBytes },
    };
  });
}

/** Rows of one part's saved statistics: mean, what rounding the mean left over, biased variance; then r and d where renormalization corrects. cuDNN's are mean and 1/√(variance + eps). */
export function statisticsRows({ settings }: Problem): number {
  if (settings.backend.library === 'cudnn') return 2;
  return correcting(settings.renorm) === null ? 3 : 5;
}

/** Of all parts. */
export function statisticsBytes(problem: Problem): number {
  return problem.parts * statisticsBytesOfPart(problem);
}

/** Bytes of the mask that spares keeping the residual, all parts' together; 0 where the backend has no such mask. */
export function maskBytes(problem: Problem, residual: boolean): number {
  return problem.parts * maskBytesOfPart(problem, residual);
}

// In `outer`: parts differ by a sample at most.
function beginOf({ parts, samples, outer }: Problem, part: number): number {
  return Math.floor((part * samples) / parts) * (outer / samples);
}

function statisticsBytesOfPart(problem: Problem): number {
  return statisticsRows(problem) * problem.channels * bytesPerElement(problem.settings.dtype);
}

const ALIGNMENT = 64; // of the part of a mask that follows another

function maskBytesOfPart({ settings, parts, samples, outer, channels, inner, dtype }: Problem, residual: boolean): number {
  const { backend, dtype: parameterDtype, activation } = settings;
  const bytesOf = (rows: number) =>
    backend.native.maskBytes(rows, channels, inner, DTYPE_CODES[dtype], DTYPE_CODES[parameterDtype], activation, residual);
  if (parts === 1) return bytesOf(outer);
  // Both sizes that parts have are asked for, because cuDNN promises nothing of what it wants for the smaller one.
  const rows = outer / samples;
  const bytes = Math.max(bytesOf(Math.floor(samples / parts) * rows), bytesOf(Math.ceil(samples / parts) * rows));
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
