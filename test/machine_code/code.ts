/** Machine code, as far as the checks look at it; PTX and SASS are read into the same. */

export type Space = 'global' | 'local' | 'shared' | 'generic';

/** What an instruction moves between registers (or shared memory, in an asynchronous copy) and memory. */
export interface Access {
  kind: 'load' | 'store';
  space: Space;
  bytes: number; // of one thread
  address: readonly string[]; // the registers that make it
}

export interface Jump {
  targets: readonly string[]; // labels
  falls: boolean; // goes on behind it too, at times
  hidden?: boolean; // through a table that the text does not show
}

export interface Instruction {
  text: string;
  place: string; // its address in SASS; in PTX the line it comes from, and where that was inlined
  callers?: readonly string[]; // the functions of those lines, mangled; unknown in SASS
  guard?: string; // runs under this predicate alone
  writes: readonly string[]; // registers
  /** What is handed on to all of `writes` by moving and adding, by which a pointer stays a pointer: registers, and `param N`. */
  addends: readonly string[];
  access?: Access;
  jump?: Jump;
}

export interface Kernel {
  mangled: string;
  architecture: string; // sm_90; compute_90 for PTX
  instructions: readonly Instruction[];
  labels: ReadonlyMap<string, number>; // of instructions
}
