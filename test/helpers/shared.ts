/** Test data kept beside the project; tests that need it skip, saying so, where it is absent. */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const FOLDER = resolve(__dirname, '../../../shared/data');

/** A test over one JSON file of shared data: skipped, with the reason printed, when there is no such file. */
export function withShared<T>(name: string, define: (content: T) => void): void {
  const file = join(FOLDER, name);
  if (existsSync(file)) {
    define(JSON.parse(readFileSync(file, 'utf8')) as T);
    return;
  }
  it(`reads ${name}`, function () {
    skip(this, `there is no ${file}`);
  });
}

export function skip(context: Mocha.Context, reason: string): never {
  console.log(`      skipped: ${reason}`);
  return context.skip();
}
