/** Shows how far a large file is written: a bar on a terminal, nothing elsewhere or where output is for programs. On stderr. */

import { Presets, SingleBar } from 'cli-progress';

const LARGE = 2 ** 28;
const MIB = 2 ** 20;

export interface Progress {
  step(done: number, total: number): void;
  end(): void;
}

export function makeProgress(quiet: boolean): Progress {
  if (quiet || !process.stderr.isTTY) return { step() {}, end() {} };
  let bar: SingleBar | undefined;
  return {
    step(done, total) {
      if (total < LARGE) return;
      if (bar === undefined) {
        bar = new SingleBar(
          { format: 'Writing {bar} {percentage}% | {value}/{total} MiB', stream: process.stderr },
          Presets.shades_classic,
        );
        bar.start(Math.round(total / MIB), 0);
      }
      bar.update(Math.round(done / MIB));
    },
    end: () => bar?.stop(),
  };
}
