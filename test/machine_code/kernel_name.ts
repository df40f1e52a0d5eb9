/** What the mangled name of a kernel tells: its own name and the element type and width that its template was given. */

export interface KernelName {
  readable: string; // transformInOrder<0, float, 4>
  name: string;
  elementBytes: number | undefined; // the smallest of its types
  wide: boolean; // an access moves several elements, 16 bytes of them
}

const ACCESS_BYTES = 16;
const BUILTIN: Readonly<Record<string, string>> = { f: 'float', d: 'double' };
const BYTES: Readonly<Record<string, number>> = { float: 4, double: 8, Float16: 2, BFloat16: 2 };

/** Reads a mangled name from the left. */
class Reader {
  readonly types: string[] = [];
  readonly integers: number[] = []; // not of enumerations, not truth values

  constructor(
    private readonly mangled: string,
    private at: number,
  ) {}

  /** What the pattern, which begins with ^, finds here. */
  private take(pattern: RegExp): RegExpExecArray | undefined {
    const match = pattern.exec(this.mangled.slice(this.at));
    if (!match) return undefined;
    this.at += match[0].length;
    return match;
  }

  /** The last of names that follow each other, with its template arguments. */
  name(): { name: string; readable: string } {
    let name = '';
    let readable = '';
    while (this.take(/^S\w?_/)); // the namespace, where it was named before
    for (let length = this.take(/^\d+/); length; length = this.take(/^\d+/)) {
      name = this.mangled.slice(this.at, this.at + Number(length[0]));
      this.at += name.length;
      readable = name + (this.take(/^I/) ? `<${this.arguments().join(', ')}>` : '');
    }
    if (!name) throw new Error(`Expected a name at ${this.mangled.slice(this.at)} of the kernel ${this.mangled}`);
    return { name, readable };
  }

  private arguments(): string[] {
    const found: string[] = [];
    while (!this.take(/^E/)) found.push(this.argument(found.at(-1)));
    return found;
  }

  private argument(previous: string | undefined): string {
    const value = this.take(/^L(?:([a-z])|N.+?E)(n?\d+)E/);
    if (value) {
      const number = value[2]!.replace('n', '-');
      if (value[1] && value[1] !== 'b') this.integers.push(Number(number));
      return number;
    }
    const builtin = this.take(/^[a-z]/)?.[0];
    if (builtin) return this.type(BUILTIN[builtin] ?? builtin);
    // The type before, once more; other names that repeat are in front of a name.
    if (previous && /^S\w?_(?!\d)/.test(this.mangled.slice(this.at)) && this.take(/^S\w?_/)) return this.type(previous);
    const nested = this.take(/^N/);
    const { readable } = this.name();
    if (nested && !this.take(/^E/)) throw new Error(`Expected the end of a name at ${this.mangled.slice(this.at)} of ${this.mangled}`);
    return this.type(readable);
  }

  private type(name: string): string {
    this.types.push(name);
    return name;
  }
}

export function kernelName(mangled: string): KernelName {
  const start = /^_ZN?/.exec(mangled)?.[0];
  if (!start) throw new Error(`Expected the mangled name of a kernel but received ${mangled}`);
  const reader = new Reader(mangled, start.length);
  const { name, readable } = reader.name();
  const bytes = reader.types.flatMap((type) => BYTES[type] ?? []);
  const elementBytes = bytes.length > 0 ? Math.min(...bytes) : undefined;
  return {
    readable,
    name,
    elementBytes,
    wide: reader.integers.some((width) => width > 1 && width * (elementBytes ?? 0) === ACCESS_BYTES),
  };
}
