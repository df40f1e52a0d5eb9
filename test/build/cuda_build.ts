/** What the build in out/release made of the CUDA kernels. */
import fs from 'node:fs';
import path from 'node:path';
import { skip } from '../helpers/shared';

const root = path.resolve(__dirname, '..', '..');
export const SOURCES = path.join(root, 'native', 'cuda', 'kernels');
export const BUILD = path.join(root, 'out', 'release');

export const text = (file: string) => fs.readFileSync(file, 'utf8');

/** Names of kernel sources with one of the extensions. */
export const files = (...extensions: string[]) => fs.readdirSync(SOURCES).filter((file) => extensions.includes(path.extname(file)));

export const object = (source: string) => path.join(BUILD, 'native', 'cuda', 'CMakeFiles', 'cuda.dir', 'kernels', `${source}.o`);

/** The nvcc of the build; without one, the test is skipped. */
export function nvccOfBuild(context: Mocha.Context): string {
  const cache = path.join(BUILD, 'CMakeCache.txt');
  if (!fs.existsSync(cache)) return skip(context, `there is no build in ${BUILD}`);
  if (!/^CUDA_BATCHNORM_CUDA:.*=ON$/m.test(text(cache))) return skip(context, 'CUDA was switched off for the build');
  return /^CMAKE_CUDA_COMPILER:\w+=(?!.*NOTFOUND$)(.+)/m.exec(text(cache))?.[1] ?? skip(context, 'no nvcc was found for the build');
}

/** What ptxas reported of a kernel. */
export interface Resources {
  kernel: string; // mangled
  architecture: string;
  registers: number;
  localBytes: number; // stack frame, spill stores and spill loads
}

const ENTRY =
  /Compiling entry function '(\w+)' for '(\w+)'\n.*\n\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*Used (\d+) registers/g;

/** Of all kernels of a source, for every compute capability. */
export function resources(source: string): Resources[] {
  return [...text(`${object(source)}.log`).matchAll(ENTRY)].map(([, kernel = '', architecture = '', frame, stores, loads, registers]) => ({
    kernel,
    architecture,
    registers: Number(registers),
    localBytes: Number(frame) + Number(stores) + Number(loads),
  }));
}
