/** Names that are asked for on the command line. */

/** Whether a name fits a pattern, in which `*` stands for anything. */
export function fits(name: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(name);
}
