/** What the doctor says about one thing. */

/** `optional`: not there, or not in use, and batch norm works without it. */
export type Status = 'ok' | 'optional' | 'problem';

export interface Finding {
  /** What it is about: 'Addon', 'GPU cuda:0', … */
  subject: string;
  status: Status;
  /** What is the case. */
  found: string;
  /** What that means, where something is not there. */
  consequence?: string;
  /** What to do about it: steps, or ways to choose from. */
  remedies?: readonly string[];
  /** What was found, for programs. */
  details: Readonly<Record<string, unknown>>;
}

export const ON_CPU = 'Batch norm runs on the CPU.';
export const NOWHERE = 'Batch norm does not work here.';
export const NO_ADDON = 'the addon could not be loaded';
export const NO_REPORT = 'the addon gives no report where the CPU does not work';

/** Of something that can be known only where another thing works. */
export function notAsked(subject: string, why: string, details: Finding['details'] = {}): Finding {
  return { subject, status: 'optional', found: `not asked: ${why}`, details };
}
