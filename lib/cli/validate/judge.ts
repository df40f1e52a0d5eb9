/** Runs one problem on every subject and holds each result against the reference, and native results against cuDNN's. */

import type { DType } from '../../dtype';
import { BatchNormError } from '../../errors';
import { type Errors, errorsOf, type Worst, worstOf } from '../../validation/errors';
import type { Values } from '../../validation/oracle';
import type { Case } from './cases';
import { makeInputs } from './data';
import { type Expectation, expectationsOf, type Quantity } from './reference';
import type { Results, Subject } from './subject';

/**
 * fail: a result of ours beyond its tolerance; deviates: the same of cuDNN, which is what we compare with, not what we answer for;
 * unsupported: cuDNN cannot do it and says so; error: an exception instead of a result.
 */
export type Verdict = 'pass' | 'fail' | 'deviates' | 'unsupported' | 'error';

export interface Measured extends Errors {
  quantity: Quantity;
  dtype: DType;
  worst: Worst;
  pass: boolean;
}

export interface Outcome {
  subject: string;
  verdict: Verdict;
  /** Of an error, or why it is unsupported. */
  message?: string;
  measured: Measured[];
}

/** Differences of two backends' results on the same inputs. */
export interface Difference extends Errors {
  native: string;
  reference: string;
  quantity: Quantity;
  dtype: DType;
}

/** A pair of values to plot. */
export interface Sample {
  native: string;
  /** `'oracle'` or the name of a subject. */
  reference: string;
  quantity: Quantity;
  dtype: DType;
  expected: number;
  actual: number;
}

export interface CaseResult {
  case: Case;
  outcomes: Outcome[];
  differences: Difference[];
  samples: Sample[];
}

export const isFailure = ({ verdict }: Outcome): boolean => verdict === 'fail' || verdict === 'error';

export async function judge(problem: Case, subjects: readonly Subject[], seed: number): Promise<CaseResult> {
  const inputs = makeInputs(problem, seed);
  const expectations = expectationsOf(problem, inputs);
  const result: CaseResult = { case: problem, outcomes: [], differences: [], samples: [] };
  const byDevice = new Map<string, { name: string; results: Results }>();
  for (const subject of subjects) {
    try {
      const results = await subject.run(problem, inputs);
      const measured = expectations.map((expectation) => measure(results, expectation));
      result.outcomes.push({ subject: subject.name, verdict: verdictOn(subject, measured), measured });
      const native = byDevice.get(subject.device.name);
      if (subject.backend === 'native') {
        byDevice.set(subject.device.name, { name: subject.name, results });
        result.samples.push(...samplesOf(problem, subject.name, results, 'oracle', expectedResults(expectations), expectations));
      } else if (native !== undefined) {
        result.differences.push(...differencesOf(native.name, native.results, subject.name, results, expectations));
        result.samples.push(...samplesOf(problem, native.name, native.results, subject.name, results, expectations));
      }
    } catch (error) {
      result.outcomes.push(outcomeOfError(subject, error));
    }
  }
  return result;
}

function measure(results: Results, { quantity, dtype, bound }: Expectation): Measured {
  const values = valuesOf(results, quantity);
  const worst = worstOf(values, bound, dtype);
  return { quantity, dtype, ...errorsOf(values, bound.expected, dtype), worst, pass: worst.share <= 1 };
}

function verdictOn({ backend }: Subject, measured: readonly Measured[]): Verdict {
  if (measured.every(({ pass }) => pass)) return 'pass';
  return backend === 'cudnn' ? 'deviates' : 'fail';
}

/** What cuDNN refuses, and values that it says are too large for it; anything else that is thrown was not to happen. */
const REFUSED = / for backend cudnn, which |CUDNN_STATUS_(NOT_SUPPORTED|RUNTIME_FP_OVERFLOW)/;

function outcomeOfError({ name, backend }: Subject, error: unknown): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  const refused = backend === 'cudnn' && error instanceof BatchNormError && REFUSED.test(message);
  return { subject: name, verdict: refused ? 'unsupported' : 'error', message, measured: [] };
}

function valuesOf(results: Results, quantity: Quantity): Values {
  const values = results[quantity];
  if (values === undefined) throw new Error(`there is no ${quantity} among the results`);
  return values;
}

function expectedResults(expectations: readonly Expectation[]): Results {
  return Object.fromEntries(expectations.map(({ quantity, bound }) => [quantity, bound.expected]));
}

function differencesOf(
  native: string,
  ours: Results,
  reference: string,
  theirs: Results,
  expectations: readonly Expectation[],
): Difference[] {
  return expectations.map(({ quantity, dtype }) => ({
    native,
    reference,
    quantity,
    dtype,
    ...errorsOf(valuesOf(ours, quantity), valuesOf(theirs, quantity), dtype),
  }));
}

const SAMPLES = 8;

/** Some elements of each quantity, evenly apart; of ordinary data, whose values have a size to be drawn at. */
function samplesOf(
  { data }: Case,
  native: string,
  ours: Results,
  reference: string,
  theirs: Results,
  expectations: readonly Expectation[],
): Sample[] {
  if (data !== 'ordinary') return [];
  return expectations.flatMap(({ quantity, dtype }) => {
    const [actual, expected] = [valuesOf(ours, quantity), valuesOf(theirs, quantity)];
    const count = Math.min(SAMPLES, actual.length);
    return Array.from({ length: count }, (_, k) => {
      const index = Math.floor((k * actual.length) / count);
      return { native, reference, quantity, dtype, expected: expected[index]!, actual: actual[index]! };
    });
  });
}
