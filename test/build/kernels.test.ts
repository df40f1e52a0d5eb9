// What nvcc and ptxas said of every kernel, for every compute capability of the build in out/release.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { skip } from '../helpers/shared';

const root = path.resolve(__dirname, '..', '..');
const SOURCES = path.join(root, 'native', 'cuda', 'kernels');
const BUILD = path.join(root, 'out', 'release');
const REGISTERS = 65536; // of a multiprocessor, from compute capability 7.5 to 12.0

interface Resources {
  kernel: string; // mangled
  architecture: string;
  registers: number;
  localBytes: number; // stack frame, spill stores and spill loads
}

const ENTRY =
  /Compiling entry function '(\w+)' for '(\w+)'\n.*\n\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*Used (\d+) registers/g;

function resources(log: string): Resources[] {
  return [...log.matchAll(ENTRY)].map(([, kernel = '', architecture = '', frame, stores, loads, registers]) => ({
    kernel,
    architecture,
    registers: Number(registers),
    localBytes: Number(frame) + Number(stores) + Number(loads),
  }));
}

const text = (file: string) => fs.readFileSync(file, 'utf8');
const files = (...extensions: string[]) => fs.readdirSync(SOURCES).filter((file) => extensions.includes(path.extname(file)));

/** Registers that each kernel of a source may have: all, shared by the threads of its blocks that are to run at once. */
function allowances(source: string): Map<string, number> {
  const readable = [...files('.h', '.cuh'), source].map((file) => text(path.join(SOURCES, file))).join('');
  const constants = new Map([...readable.matchAll(/constexpr \w+ (\w+) = (\d+);/g)].map(([, name, value]) => [name, value]));
  const kernels = [...text(path.join(SOURCES, source)).matchAll(/^KERNEL (?:LAUNCH_BOUNDS\((\w+)(?:, (\d+))?\) )?(\w+)\(/gm)];
  return new Map(
    kernels.map(([, threads, blocks = '1', name = '']) => {
      const bound = Number(constants.get(threads) ?? threads);
      expect(bound, `launch bounds of ${name}`).to.be.greaterThan(0);
      return [name, Math.floor(REGISTERS / (bound * Number(blocks)))];
    }),
  );
}

describe('the kernels, as nvcc compiled them', () => {
  const log = (source: string) => path.join(BUILD, 'native', 'cuda', 'CMakeFiles', 'cuda.dir', 'kernels', `${source}.o.log`);
  const sources = files('.cu');
  let nvcc: string;

  before(function () {
    const cache = path.join(BUILD, 'CMakeCache.txt');
    if (!fs.existsSync(cache)) skip(this, `there is no build in ${BUILD}`);
    if (!/^CUDA_BATCHNORM_CUDA:.*=ON$/m.test(text(cache))) skip(this, 'CUDA was switched off for the build');
    nvcc = /^CMAKE_CUDA_COMPILER:\w+=(?!.*NOTFOUND$)(.+)/m.exec(text(cache))?.[1] ?? skip(this, 'no nvcc was found for the build');
  });

  for (const source of sources) {
    it(`${source} has no warning`, () => {
      expect(text(log(source))).to.not.match(/warning/i);
    });

    it(`${source} keeps everything in registers, within its launch bounds`, () => {
      const compiled = resources(text(log(source)));
      const allowed = allowances(source);
      expect(compiled).to.not.be.empty;
      for (const { kernel, architecture, registers, localBytes } of compiled) {
        const [, most] = [...allowed].find(([name]) => kernel.includes(`${name.length}${name}`)) ?? [];
        expect(most, `${kernel} has no known launch bounds`).to.be.a('number');
        expect(registers, `registers of ${kernel} on ${architecture}`).to.be.at.most(most!);
        expect(localBytes, `bytes of local memory of ${kernel} on ${architecture}`).to.equal(0);
      }
    });

    it(`${source} is compiled for every generation that nvcc knows`, function () {
      if (process.env.CUDAARCHS) skip(this, `CUDAARCHS=${process.env.CUDAARCHS} chose the compute capabilities`);
      const known = execFileSync(nvcc, ['--list-gpu-code'], { encoding: 'utf8' }).split('\n');
      const architectures = new Set(resources(text(log(source))).map(({ architecture }) => architecture));
      expect([...architectures]).to.have.members(['sm_75', 'sm_80', 'sm_90', 'sm_100', 'sm_120'].filter((name) => known.includes(name)));
    });
  }
});
