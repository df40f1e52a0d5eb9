/** Shows how far an experiment is: a bar on a terminal, its title elsewhere, nothing where output is for programs. All on stderr. */

import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  begin(title: string): void;
  /** From 0 to 1. */
  update(share: number): void;
  end(): void;
}

export function makeProgress(experiments: number, quiet: boolean): Progress {
  if (quiet) return { begin() {}, update() {}, end() {} };
  return process.stderr.isTTY ? bars(experiments) : lines(experiments);
}

function bars(experiments: number): Progress {
  let begun = 0;
  let bar: SingleBar | undefined;
  return {
    begin(title) {
      const format = `${String(++begun).padStart(2)}/${experiments} ${title.padEnd(47)} {bar} {percentage}%`;
      bar = new SingleBar({ format, barsize: 24, stream: process.stderr, clearOnComplete: true }, Presets.shades_classic);
      bar.start(100, 0);
    },
    update: (share) => bar?.update(Math.round(100 * share)),
    end: () => bar?.stop(),
  };
}

function lines(experiments: number): Progress {
  let begun = 0;
  return {
    begin: (title) => process.stderr.write(`${++begun} of ${experiments}: ${title}\n`),
    update() {},
    end() {},
  };
}
