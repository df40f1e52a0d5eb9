/** What JSON.parse is silent about: keys that an object has twice, and nesting without end. */

/** What is wrong with the JSON text in this respect, in words; undefined where nothing is. Syntax is JSON.parse's matter. */
export function findKeyProblem(text: string, deepest: number): string | undefined {
  const open: (Set<string> | null)[] = []; // the keys of each open object; null for an array
  let mayBeKey = false;
  for (let i = 0; i < text.length; ++i) {
    const sign = text[i];
    if (sign === '{' || sign === '[') {
      if (open.push(sign === '{' ? new Set() : null) > deepest) return `it nests deeper than ${deepest} levels`;
      mayBeKey = sign === '{';
    } else if (sign === '}' || sign === ']') {
      open.pop();
    } else if (sign === ',') {
      mayBeKey = true;
    } else if (sign === '"') {
      const end = endOfString(text, i);
      const keys = open.at(-1);
      if (mayBeKey && keys) {
        const key = JSON.parse(text.slice(i, end)) as string;
        if (keys.has(key)) return `it has the key ${JSON.stringify(key)} twice`;
        keys.add(key);
      }
      mayBeKey = false;
      i = end - 1;
    }
  }
  return undefined;
}

/** The index behind the closing quote. */
function endOfString(text: string, begin: number): number {
  for (let i = begin + 1; i < text.length; ++i) {
    if (text[i] === '"') return i + 1;
    if (text[i] === '\\') ++i;
  }
  return text.length;
}
