/** What the mangled name of a kernel tells: its own name and the element type and width that its template was given. */

export interface KernelName {
  readable: string; // transformInOrder<0, float, 4>
  name: string;
  elementBytes: number | undefined; // the smallest of its types
  wide: boolean; // an access moves several elements, 16 bytes of them
}

const ACCESS_BYTES = 16;
const TYPES: Readonly<Record<string, readonly [name: string, bytes: number]>> = {
  f: ['float', 4],
  d: ['double', 8],
  Float16: ['Float16', 2],
  BFloat16: ['BFloat16', 2],
};

/** The identifiers of `_ZN5space4name...`, and where they end. */
function nested(mangled: string): { names: string[]; rest: string } {
  const names: string[] = [];
  let rest = mangled.replace(/^_ZN?/, '');
  for (let length = /^\d+/.exec(rest)?.[0]; length; length = /^\d+/.exec(rest)?.[0]) {
    names.push(rest.slice(length.length, length.length + Number(length)));
    rest = rest.slice(length.length + Number(length));
  }
  return { names, rest };
}

/** A template's arguments: types as they are named, values as numbers. */
function templateArguments(text: string, mangled: string): (string | number)[] {
  const found: (string | number)[] = [];
  let rest = text;
  while (!rest.startsWith('E')) {
    const match = /^(?:L(?:[a-z]|N.+?E)(n?\d+)E|NS\d*_(\d+)(\w+)|([a-z])|S\d*_)/.exec(rest);
    if (!match) throw new Error(`Expected types and numbers for the template arguments of ${mangled} but found ${rest}`);
    const [all, value, length, name = '', builtin] = match;
    if (length) {
      found.push(name.slice(0, Number(length)));
      rest = rest.slice(all.length - name.length + Number(length) + 1); // and its E
      continue;
    }
    // S2_ repeats a type, which can only be the one before.
    found.push(value ? Number(value.replace('n', '-')) : (builtin ?? found.at(-1)!));
    rest = rest.slice(all.length);
  }
  return found;
}

export function kernelName(mangled: string): KernelName {
  const { names, rest } = nested(mangled);
  const name = names.at(-1);
  if (!name) throw new Error(`Expected the mangled name of a kernel but received ${mangled}`);
  const given = rest.startsWith('I') ? templateArguments(rest.slice(1), mangled) : [];
  const types = given.filter((argument) => typeof argument === 'string');
  const bytes = types.flatMap((type) => TYPES[type]?.[1] ?? []);
  const elementBytes = bytes.length > 0 ? Math.min(...bytes) : undefined;
  const shown = given.map((argument) => (typeof argument === 'string' ? (TYPES[argument]?.[0] ?? argument) : argument));
  return {
    readable: given.length > 0 ? `${name}<${shown.join(', ')}>` : name,
    name,
    elementBytes,
    wide: given.some((argument) => typeof argument === 'number' && argument > 1 && argument * (elementBytes ?? 0) === ACCESS_BYTES),
  };
}
