// What `npm pack` makes, in a temporary folder, for the tests that look at the package as its users do.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export const root = path.resolve(__dirname, '..', '..');

export function temporaryFolder(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'cuda-batchnorm-'));
}

/** Runs a program to its end and returns what it wrote; throws with its whole output when it fails. */
export function run(program: string, args: readonly string[], cwd: string, settings: NodeJS.ProcessEnv = {}): string {
  // A caller's npm settings and loader (tsx) must not leak into programs that stand for a user's own.
  const ours = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$)/i.test(name));
  const env = { ...Object.fromEntries(ours), ...settings };
  try {
    return execFileSync(program, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')} failed\n${stdout ?? ''}\n${stderr ?? error}`);
  }
}

export interface Packed {
  tarball: string;
  files: string[];
}

/** Packs the library as it is built now. */
export function pack(folder: string): Packed {
  const [packed] = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root));
  return { tarball: path.join(folder, packed.filename), files: packed.files.map((file: { path: string }) => file.path) };
}

/** Where this Node.js has the headers that node-gyp needs; skips the test where it has none, because nothing is downloaded here. */
export function headers(test: Mocha.Context): string {
  const prefix = path.dirname(path.dirname(process.execPath));
  if (!fs.existsSync(path.join(prefix, 'include', 'node', 'node_api.h'))) {
    console.log(`      skipped: no headers of this Node.js in ${prefix}/include/node`);
    test.skip();
  }
  return prefix;
}
