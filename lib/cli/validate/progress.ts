/** Shows how far validation is: a bar on a terminal, a line now and then elsewhere, nothing where output is for programs. All on stderr. */

import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** `done` problems are through, `failed` of them failed. */
  step(done: number, failed: number): void;
  end(): void;
}

export function makeProgress(total: number, quiet: boolean): Progress {
  if (quiet) return { step() {}, end() {} };
  return process.stderr.isTTY ? bar(total) : lines(total);
}

function bar(total: number): Progress {
  const format = 'Validating {bar} {percentage}% | {value}/{total} problems | {failed} failed';
  const drawn = new SingleBar({ format, barsize: 24, stream: process.stderr }, Presets.shades_classic);
  drawn.start(total, 0, { failed: 0 });
  return { step: (done, failed) => drawn.update(done, { failed }), end: () => drawn.stop() };
}

function lines(total: number): Progress {
  const every = Math.ceil(total / 10);
  return {
    step(done, failed) {
      if (done % every === 0 || done === total) process.stderr.write(`  ${done} of ${total} problems, ${failed} failed\n`);
    },
    end() {},
  };
}
