// What the compiler made of the loops of the kernels: 16 bytes per access, and no local memory. Read from PTX, which nvcc makes of each
// source with the flags of the build in out/release, and, where there is a cuobjdump, from the machine code in its objects.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { skip } from '../helpers/shared';
import type { Kernel } from '../machine_code/code';
import { findings } from '../machine_code/findings';
import { kernelName } from '../machine_code/kernel_name';
import { readPtx } from '../machine_code/ptx';
import { readSass } from '../machine_code/sass';
import { BUILD, files, nvccOfBuild, object, type Resources, resources, SOURCES, text } from './cuda_build';

const run = promisify(execFile);
const WHOLE = { maxBuffer: 1 << 29 }; // text is long

/** The command that compiled a source, made one that writes PTX of compute capability 9.0, which uses all that kernels can. */
function ptxCommand(source: string, ptx: string): string {
  const commands: { file: string; command: string }[] = JSON.parse(text(path.join(BUILD, 'compile_commands.json')));
  const { command } = commands.find(({ file }) => file === path.join(SOURCES, source))!;
  const compiling = / -c (\S+) -o \S+$/;
  if (!compiling.test(command)) throw new Error(`Expected a command that ends with -c SOURCE -o OBJECT for ${source} but found ${command}`);
  return command.replaceAll(/ --generate-code=\S+| -Xptxas=\S+/g, '').replace(compiling, ` -ptx -lineinfo -arch=compute_90 $1 -o '${ptx}'`);
}

/** Kept beside the object for as long as that stays. */
async function makePtx(source: string): Promise<string> {
  const ptx = `${object(source)}.ptx`;
  const fresh = fs.existsSync(ptx) && fs.statSync(ptx).mtimeMs > fs.statSync(object(source)).mtimeMs;
  if (!fresh) await run('sh', ['-c', ptxCommand(source, `${ptx}.part`)], { cwd: BUILD });
  if (!fresh) fs.renameSync(`${ptx}.part`, ptx);
  return ptx;
}

/** Calls `body` for all, on as many processors as there are. */
async function forAll<T>(items: readonly T[], body: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const work = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await body(item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

/** Expects that nothing is wrong with the kernels, and that they are those which were compiled. */
function expectRight(kernels: Iterable<Kernel>, compiled: readonly Resources[]): void {
  const names: string[] = [];
  const found: string[] = [];
  for (const kernel of kernels) {
    names.push(kernel.mangled);
    found.push(...findings(kernel));
  }
  expect(names).to.have.members([...new Set(compiled.map(({ kernel }) => kernel))]);
  expect(found).to.deep.equal([]);
}

async function disassembler(nvcc: string): Promise<string | undefined> {
  const places = [process.env.CUOBJDUMP, 'cuobjdump', path.join(path.dirname(nvcc), 'cuobjdump'), '/usr/local/cuda/bin/cuobjdump'];
  for (const place of places) {
    if (place && (await run(place, ['--version']).catch(() => undefined))) return place;
  }
  return undefined;
}

describe('the machine code of the kernels', function () {
  this.timeout(600_000); // compilers on a busy machine
  const sources = files('.cu');
  let nvcc: string;

  before(function () {
    nvcc = nvccOfBuild(this);
  });

  describe('as PTX', () => {
    before(() => forAll(sources, makePtx));

    for (const source of sources) {
      it(`${source} moves whole accesses, without local memory`, async () => {
        expectRight(readPtx(text(await makePtx(source))), resources(source));
      });
    }

    it('has wide kernels', () => {
      const wide = sources.flatMap((source) => resources(source)).filter(({ kernel }) => kernelName(kernel).wide);
      expect(wide).to.not.be.empty;
    });
  });

  describe('as SASS', () => {
    let cuobjdump: string;

    before(async function () {
      cuobjdump =
        (await disassembler(nvcc)) ??
        skip(this, 'there is no cuobjdump: neither CUOBJDUMP names one, nor is it in the PATH or the toolkit');
    });

    for (const source of sources) {
      it(`${source} moves whole accesses, without local memory`, async () => {
        const architectures = new Set(resources(source).map(({ architecture }) => architecture));
        for (const architecture of architectures) {
          const { stdout } = await run(cuobjdump, ['-sass', '-arch', architecture, object(source)], WHOLE);
          const compiled = resources(source).filter((kernel) => kernel.architecture === architecture);
          expectRight(readSass(stdout), compiled);
        }
      });
    }
  });
});
