/**
 * The same bits, run after run; on the CPU whatever the number of threads, and right and repeatable with every instruction set; on an
 * emulated GPU in whatever order its threads run.
 */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { device, emulated } from './helpers/device';
import type { Fingerprint } from './helpers/fingerprint';
import { skip } from './helpers/shared';

const run = promisify(execFile);

const { INSTRUCTION_SETS, worksHere } = require('../scripts/instruction_sets.js') as {
  INSTRUCTION_SETS: string[];
  worksHere: (isa: string) => boolean;
};

/** The settings are read once, when the addon is loaded: each gets a process of its own. */
async function fingerprintWith(settings: Record<string, string>): Promise<Fingerprint> {
  const { CUDA_BATCHNORM_THREADS: _threads, CUDA_BATCHNORM_ISA: _isa, ...inherited } = process.env;
  const program = join(__dirname, 'helpers/fingerprint.ts');
  const { stdout } = await run(process.execPath, ['--import=tsx', program], {
    env: { ...inherited, ...settings },
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout) as Fingerprint;
}

describe('determinism', function () {
  this.timeout(300_000);
  let reference: Fingerprint;
  before(async () => {
    reference = await fingerprintWith({ FINGERPRINT_JUDGED: '1' });
    console.log(`    ${reference.version}`);
  });

  it('computes the listed problems within tolerance', () => expect(reference.outside).to.deep.equal([]));

  it('tells problems apart: no two digests are equal', () => {
    const digests = Object.values(reference.digests);
    expect(new Set(digests).size).to.equal(digests.length);
  });

  it('gives the same bits in another run', async () => expect((await fingerprintWith({})).digests).to.deep.equal(reference.digests));

  for (const seed of emulated ? ['1', '2'] : []) {
    it(`gives the same bits with the threads in order ${seed}`, async () =>
      expect((await fingerprintWith({ CUDA_BATCHNORM_EMULATED_SEED: seed })).digests).to.deep.equal(reference.digests));
  }

  if (device.type !== 'cpu') return;

  for (const threads of ['1', '2', '3', '7']) {
    it(`gives the same bits with CUDA_BATCHNORM_THREADS=${threads}`, async () => {
      const other = await fingerprintWith({ CUDA_BATCHNORM_THREADS: threads });
      expect(other.version, 'the setting was taken').to.match(new RegExp(`\\b${threads} thread`));
      expect(other.digests).to.deep.equal(reference.digests);
    });
  }

  for (const isa of INSTRUCTION_SETS) {
    it(`is right and repeatable with CUDA_BATCHNORM_ISA=${isa}`, async function () {
      if (!worksHere(isa)) return skip(this, `this processor has no ${isa}`);
      const first = await fingerprintWith({ CUDA_BATCHNORM_ISA: isa, FINGERPRINT_JUDGED: '1' });
      expect(first.version, 'the setting was taken').to.include(isa);
      expect(first.outside).to.deep.equal([]);
      const second = await fingerprintWith({ CUDA_BATCHNORM_ISA: isa, CUDA_BATCHNORM_THREADS: '3' });
      expect(second.digests).to.deep.equal(first.digests);
    });
  }
});
