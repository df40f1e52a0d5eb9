/** Reads SASS, as `cuobjdump -sass` prints it. */
import type { Access, Instruction, Jump, Kernel, Space } from './code';

const LOADS: Readonly<Record<string, Space>> = { LDG: 'global', LDGSTS: 'global', LDL: 'local', LDS: 'shared', LD: 'generic' };
const STORES: Readonly<Record<string, Space>> = { STG: 'global', STL: 'local', STS: 'shared', ST: 'generic' };

/** Positions among the operands of those that an instruction hands on by moving or adding. */
const ADDENDS: Readonly<Record<string, readonly number[]>> = {
  'IMAD.IADD': [1, 3],
  IADD: [1, 2],
  IADD3: [1, 2, 3],
  IMAD: [3],
  LDC: [1],
  LDCU: [1],
  LEA: [2],
  MOV: [1],
  R2UR: [1],
  SEL: [1, 2],
  VIADD: [1],
};

const registers = (text: string) => (text.match(/\bU?R\d+\b/g) ?? []).filter(Boolean);

/** Registers, and parameters of the constant bank as `param N`; high words lie 4 bytes behind, and no address begins with one. */
function sources(operand: string): string[] {
  return [...registers(operand), ...[...operand.matchAll(/c\[0x0\]\[(0x[0-9a-f]+)\]/g)].map(([, offset]) => `param ${offset}`)];
}

/** What follows the destination; carries and predicates are no operands here. */
const split = (text: string) =>
  (text.match(/(?:[^,[]|\[[^\]]*\])+/g) ?? []).map((operand) => operand.trim()).filter((operand) => !/^!?U?P(T|\d)$/.test(operand));

function bytesOf(words: readonly string[]): number {
  const size = words.find((word) => /^(U?8|S8|U?16|S16|64|128|256)$/.test(word));
  return Number(size?.replace(/\D/g, '') ?? 32) / 8;
}

function access(words: readonly string[], operands: readonly string[]): Access | undefined {
  const name = words[0]!;
  const space = LOADS[name] ?? STORES[name];
  if (!space) return undefined;
  const address = /\[([^\]]*)\]$/.exec(operands.filter((operand) => operand.endsWith(']')).at(-1) ?? '')?.[1] ?? '';
  return { kind: name in LOADS ? 'load' : 'store', space, bytes: bytesOf(words), address: registers(address) };
}

function jump(words: readonly string[], operands: string, guarded: boolean): Jump | undefined {
  const [name, kind] = words;
  if (name === 'EXIT' || name === 'RET') return { targets: [], falls: guarded };
  if (name === 'BRX' || name === 'BRXU') return { targets: [], falls: false, hidden: true };
  const target = /0x[0-9a-f]+$/.exec(operands)?.[0];
  // A place in the same function, from which there may be no return: the compiler leaves loops by such calls, too.
  if (name === 'CALL' && target) return { targets: [Number(target).toString(16)], falls: true };
  if (name !== 'BRA') return undefined;
  const sometimes = guarded || kind === 'DIV' || kind === 'CONV' || /\bU?P\d/.test(operands);
  return { targets: [Number(target).toString(16)], falls: sometimes };
}

function instruction(place: string, predicate: string | undefined, opcode: string, text: string): Instruction {
  const words = opcode.split('.');
  const guarded = predicate !== undefined;
  const operands = split(text);
  const moved = access(words, operands);
  const to = jump(words, text, guarded);
  const name = words[0]!.replace(/^U(?=[A-Z])/, '');
  const handed = ADDENDS[`${name}.${words[1]}`] ?? ADDENDS[name] ?? [];
  const addends = words.includes('HI') || words.includes('X') ? [] : handed.flatMap((position) => sources(operands[position] ?? ''));
  const [first = ''] = registers(operands[0]?.includes('[') ? '' : (operands[0] ?? ''));
  return {
    text: `${opcode} ${text}`,
    place: `0x${place}`,
    ...(predicate && { guard: predicate }),
    writes: first && !to && moved?.kind !== 'store' && !/SETP|PLOP3|R2P/.test(name) ? [first] : [],
    addends,
    ...(moved && { access: moved }),
    ...(to && { jump: to }),
  };
}

const LINE = /^\s+\/\*([0-9a-f]{4,})\*\/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*) *(.*?)\s*(?:[?&].*)?;/gm;

function readFunction(mangled: string, architecture: string, text: string): Kernel {
  const instructions: Instruction[] = [];
  const labels = new Map<string, number>();
  for (const [, address, predicate, opcode, operands] of text.matchAll(LINE)) {
    labels.set(Number(`0x${address}`).toString(16), instructions.length);
    instructions.push(instruction(address!, predicate, opcode!, operands!));
  }
  return { mangled, architecture, instructions, labels };
}

/** One kernel at a time, because all of them are large. */
export function* readSass(text: string): Generator<Kernel> {
  for (const section of text.split(/^\s+code for (?=sm_)/m).slice(1)) {
    const architecture = /^\w+/.exec(section)![0];
    for (const part of section.split(/^\s+Function : /m).slice(1)) {
      yield readFunction(/^\S+/.exec(part)![0], architecture, part);
    }
  }
}
