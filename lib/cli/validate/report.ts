import type { Validation } from '../validate';
export function makeReport(_v: Validation): string { return ''; }
