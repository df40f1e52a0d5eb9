// What nvcc and ptxas said of every kernel, for every compute capability of the build in out/release.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';
import { skip } from '../helpers/shared';
import { files, nvccOfBuild, object, resources, SOURCES, text } from './cuda_build';

const REGISTERS = 65536; // of a multiprocessor, from compute capability 7.5 to 12.0

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
  const sources = files('.cu');
  let nvcc: string;

  before(function () {
    nvcc = nvccOfBuild(this);
  });

  for (const source of sources) {
    it(`${source} has no warning`, () => {
      expect(text(`${object(source)}.log`)).to.not.match(/warning/i);
    });

    it(`${source} keeps everything in registers, within its launch bounds`, () => {
      const compiled = resources(source);
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
      const architectures = new Set(resources(source).map(({ architecture }) => architecture));
      expect([...architectures]).to.have.members(['sm_75', 'sm_80', 'sm_90', 'sm_100', 'sm_120'].filter((name) => known.includes(name)));
    });
  }
});
