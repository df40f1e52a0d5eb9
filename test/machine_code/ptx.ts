/** Reads PTX. Where it was made with -lineinfo, instructions know their place in the sources. */
import path from 'node:path';
import type { Access, Instruction, Jump, Kernel, Space } from './code';

const SPACES: Readonly<Record<string, Space>> = { global: 'global', local: 'local', shared: 'shared' };
const REGISTER = /%[a-z]+\d+/g;
/** Of ld.global.v2.f32, the 32. */
const bitsOf = (words: readonly string[]) => Number(/\d+$/.exec(words.at(-1)!)?.[0] ?? 0);
const registers = (text: string) => text.match(REGISTER) ?? [];

/** Positions among the operands of those that an instruction hands on by moving or adding. */
const ADDENDS: Readonly<Record<string, readonly number[]>> = {
  add: [1, 2],
  sub: [1],
  mad: [3],
  mov: [1],
  cvta: [1],
  selp: [1, 2],
};

function access(words: readonly string[], operands: readonly string[]): Access | undefined {
  const [name = '', ...modifiers] = words;
  if (name === 'cp' && modifiers[0] === 'async') return copy(modifiers, operands);
  if ((name !== 'ld' && name !== 'st') || modifiers.includes('param')) return undefined;
  const elements = Number(modifiers.find((word) => /^v\d$/.test(word))?.slice(1) ?? 1);
  const space = modifiers.map((word) => SPACES[word.split(':')[0]!]).find(Boolean) ?? 'generic';
  const address = registers(operands.find((operand) => operand.startsWith('[')) ?? '');
  return { kind: name === 'ld' ? 'load' : 'store', space, bytes: (bitsOf(words) / 8) * elements, address };
}

/** cp.async of so many bytes, or a bulk copy, of a multiple of 16; not the instructions that wait for them. */
function copy(modifiers: readonly string[], operands: readonly string[]): Access | undefined {
  const [to, from, bytes] = operands;
  if (!to?.startsWith('[') || !from?.startsWith('[')) return undefined;
  const store = modifiers.indexOf('global') < modifiers.findIndex((word) => word.startsWith('shared'));
  return { kind: store ? 'store' : 'load', space: 'global', bytes: Number(bytes) || 16, address: registers(store ? to : from) };
}

function jump(
  words: readonly string[],
  operands: readonly string[],
  guarded: boolean,
  tables: ReadonlyMap<string, string[]>,
): Jump | undefined {
  if (words[0] === 'bra') return { targets: [operands[0]!], falls: guarded };
  if (words[0] === 'brx') return { targets: tables.get(operands[1]!) ?? [], falls: false };
  if (words[0] === 'ret' || words[0] === 'exit' || words[0] === 'trap') return { targets: [], falls: guarded };
  return undefined;
}

/** Operands by their commas, but for those of vectors and addresses. */
const split = (operands: string) => operands.match(/\{[^}]*\}|\[[^\]]*\]|[^,\s]+/g) ?? [];

/** A byte of one of the kernel's parameters. */
interface ParameterAddress {
  index: string;
  offset: number;
}

/** The innermost first, of what was inlined. */
interface Line {
  places: readonly string[];
  functions: readonly string[]; // mangled
}

/** What the end of the text tells of numbers and labels. */
interface Sources {
  files: ReadonlyMap<string, string>;
  functions: ReadonlyMap<string, string>;
}

class KernelReader {
  readonly instructions: Instruction[] = [];
  readonly labels = new Map<string, number>();
  private readonly tables = new Map<string, string[]>();
  private readonly parameterAddresses = new Map<string, ParameterAddress>(); // by register
  private readonly lines = new Map<string, Line>();
  private at: Line = { places: [], functions: [] };

  constructor(
    body: string,
    private readonly sources: Sources,
  ) {
    const table = /(\S+):\s*\.branchtargets([^;]*);/g;
    for (const [, label = '', targets = ''] of body.matchAll(table)) this.tables.set(label, targets.match(/[^\s,]+/g) ?? []);
    for (const line of body.replaceAll(table, '').split('\n')) this.line(line.replace(/\/\/.*/, '').trim());
  }

  private line(line: string): void {
    if (/^\.loc\s/.test(line)) this.location(line);
    const label = /^([\w$]+):$/.exec(line)?.[1];
    if (label) this.labels.set(label, this.instructions.length);
    const [, guard, words, operands = ''] = /^(?:@(!?%\w+)\s+)?([a-z][\w.:]*)\s*(.*);$/.exec(line) ?? [];
    if (words) this.instruction(line, guard, words.split('.'), split(operands));
  }

  /** A line of the sources, and that of the call which was replaced by it: known from when it was named itself. */
  private location(line: string): void {
    const [, key = '', file = '', number, name, call] =
      /^\.loc\s+((\d+) (\d+) \d+)(?:, function_name (\$\w+), inlined_at (\d+ \d+ \d+))?/.exec(line) ?? [];
    const caller = this.lines.get(call ?? '') ?? { places: [], functions: [] };
    this.at = {
      places: [`${this.sources.files.get(file)}:${number}`, ...caller.places],
      functions: [this.sources.functions.get(name ?? '') ?? '', ...caller.functions],
    };
    this.lines.set(key, this.at);
  }

  private instruction(text: string, guard: string | undefined, words: readonly string[], operands: readonly string[]): void {
    const name = words[0]!;
    const [first = '', second = ''] = operands;
    const writes = first.startsWith('[') ? [] : registers(first);
    const what = { text, place: this.at.places.join(' < '), callers: this.at.functions, ...(guard && { guard }) };
    if (name === 'mov' || name === 'add') this.noteAddress(first, second, operands[2]);
    const read = name === 'ld' && words[1] === 'param' ? this.parameter(second) : undefined;
    if (read) {
      const bytes = bitsOf(words) / 8;
      for (const [i, register] of writes.entries()) {
        const addends = [`param ${read.index}+${read.offset + i * bytes}`];
        this.instructions.push({ ...what, writes: [register], addends });
      }
      return;
    }
    const addends = (ADDENDS[name] ?? []).flatMap((position) => registers(operands[position] ?? ''));
    const moved = access(words, operands);
    const to = jump(words, operands, guard !== undefined, this.tables);
    this.instructions.push({ ...what, writes, addends, ...(moved && { access: moved }), ...(to && { jump: to }) });
  }

  private addressOf(operand: string): ParameterAddress | undefined {
    const index = /_param_(\d+)$/.exec(operand)?.[1];
    return index === undefined ? this.parameterAddresses.get(operand) : { index, offset: 0 };
  }
  private noteAddress(register: string, operand: string, offset = '0'): void {
    const address = this.addressOf(operand);
    if (address) this.parameterAddresses.set(register, { ...address, offset: address.offset + Number(offset) });
  }
  private parameter(operand: string): ParameterAddress | undefined {
    const [, base = '', offset = '0'] = /^\[([\w%$]+)(?:\+(-?\d+))?\]$/.exec(operand) ?? [];
    const address = this.addressOf(base);
    return address && { ...address, offset: address.offset + Number(offset) };
  }
}

/** A string as assemblers are given it: .b8 95,90,0 */
const decode = (bytes: string) => String.fromCharCode(...(bytes.match(/(?<=[ ,])\d+/g) ?? []).map(Number).filter((code) => code !== 0));

function sourcesOf(text: string): Sources {
  const files = [...text.matchAll(/^\s*\.file\s+(\d+)\s+"([^"]+)"/gm)];
  const strings = [...text.matchAll(/^(\$L__info_string\d+):\n((?:\.b8 .*\n)+)/gm)];
  return {
    files: new Map(files.map(([, id, file]) => [id!, path.basename(file!)])),
    functions: new Map(strings.map(([, label, bytes]) => [label!, decode(bytes!)])),
  };
}

export function readPtx(text: string): Kernel[] {
  const sources = sourcesOf(text);
  const architecture = /^\.target\s+sm_(\w+)/m.exec(text)?.[1];
  return [...text.matchAll(/\.entry\s+(\w+)\([^)]*\)[^{]*\{\n([\s\S]*?)\n\}/g)].map(([, mangled, body]) => {
    const { instructions, labels } = new KernelReader(body!, sources);
    return { mangled: mangled!, architecture: `compute_${architecture}`, instructions, labels };
  });
}
