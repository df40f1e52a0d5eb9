/** Each allocation, copy and launch of a training step fails once: with its code, without a leak, and the next step works. */

import { once } from 'node:events';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { ErrorCode } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { emulator, type Failing } from '../helpers/emulator';
import type { Outcome } from '../helpers/failing_step';
import { settle } from '../helpers/garbage';

const PROGRAM = `require('tsx/cjs'); require(${JSON.stringify(resolve(__dirname, '../helpers/failing_step.ts'))})`;

/** The least a step does of each: four vectors of the layer and nine tensors; three uploads and seven reads; two passes. */
const KINDS: readonly (readonly [kind: Failing, code: ErrorCode, least: number])[] = [
  ['allocation', 'ERR_OUT_OF_MEMORY', 13],
  ['copy', 'ERR_CUDA', 10],
  ['launch', 'ERR_CUDA', 3],
];

async function outcomeOf(kind: Failing): Promise<Outcome> {
  const worker = new Worker(PROGRAM, { eval: true, workerData: kind });
  const ended = once(worker, 'exit');
  const [outcome] = await once(worker, 'message');
  await ended;
  return outcome as Outcome;
}

describeEmulated('a training step in which one call fails', function () {
  this.timeout(120_000);
  for (const [kind, code, least] of KINDS) {
    describe(kind, () => {
      let outcome: Outcome;
      let idle: { device: number; pinned: number };
      let after: { device: number; pinned: number };
      const bytes = () => ({ device: emulator.liveBytes(), pinned: emulator.pinnedBytes() });

      before(async () => {
        await settle();
        idle = bytes();
        outcome = await outcomeOf(kind);
        after = bytes();
        console.log(`      failed so: ${outcome.failed.length} of them`);
      });

      it(`was seen to fail at least ${least} times, each time with ${code}`, () => {
        expect(outcome.failed).to.have.length.of.at.least(least);
        for (const [n, step] of outcome.failed.entries()) expect(step.code, `${kind} ${n + 1}: ${step.message}`).to.equal(code);
      });

      if (kind === 'allocation') {
        it('says how many bytes were asked for', () => {
          for (const { message } of outcome.failed) expect(message).to.match(/\b\d+ bytes\b/);
        });
      }

      it('leaves no memory behind', () => {
        for (const [n, { held }] of outcome.failed.entries()) expect(held, `${kind} ${n + 1}`).to.equal(0);
        expect(after).to.deep.equal(idle);
      });

      it('is followed by a step that gives the right numbers', () => {
        for (const [n, { next }] of outcome.failed.entries()) expect(next, `${kind} ${n + 1}`).to.deep.equal(outcome.passed);
      });
    });
  }
});
