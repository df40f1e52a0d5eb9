/** The README, for the tests that hold it to what was measured and committed. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const readme = (): string => readFileSync(join(__dirname, '../../README.md'), 'utf8');
