// Lets a program that imports this package by its name have lib/ as it is now, and not what dist/lib was built of:
//   node --import ./test/helpers/from_source.mjs --import tsx PROGRAM
import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const root = new URL('../../', import.meta.url);
const { name, exports } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));

/** The source of each name under which the package can be imported. */
const sources = Object.fromEntries(
  Object.entries(exports)
    .filter(([, target]) => target.default)
    .map(([subpath, target]) => [
      name + subpath.slice(1),
      new URL(target.default.replace('./dist/', './').replace(/\.js$/, '.ts'), root).href,
    ]),
);

export async function resolve(specifier, context, next) {
  return next(sources[specifier] ?? specifier, context);
}

if (isMainThread) register(import.meta.url);
