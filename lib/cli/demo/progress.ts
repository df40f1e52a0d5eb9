/** Shows that the demo is alive: a bar on a terminal, a line an epoch elsewhere, nothing where output is for programs. All on stderr. */

import { Presets, SingleBar } from 'cli-progress';
import type { Watcher } from './training';

export interface Progress {
  begin(name: string, steps: number): Watcher & { end(): void };
}

const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
const rate = (samplesPerSecond: number) => `${Math.round(samplesPerSecond)} samples/s`;

export function makeProgress(quiet: boolean): Progress {
  if (quiet) return { begin: () => ({ step: () => {}, epoch: () => {}, end: () => {} }) };
  return process.stderr.isTTY ? bars : lines;
}

const lines: Progress = {
  begin(name) {
    process.stderr.write(`${name}\n`);
    return {
      step() {},
      epoch(epoch, loss, accuracy, samplesPerSecond) {
        const figures = [`loss ${loss.toFixed(4)}`, `test accuracy ${percent(accuracy)}`, rate(samplesPerSecond)];
        process.stderr.write(`  epoch ${epoch}: ${figures.join(', ')}\n`);
      },
      end() {},
    };
  },
};

const bars: Progress = {
  begin(name, steps) {
    const format = `${name.padEnd(40)} {bar} {percentage}% | loss {loss} | accuracy {accuracy} | {rate}`;
    const bar = new SingleBar({ format, barsize: 24 }, Presets.shades_classic);
    bar.start(steps, 0, { loss: '–', accuracy: '–', rate: '–' });
    return {
      step: (step, loss, samplesPerSecond) => bar.update(step, { loss: loss.toFixed(4), rate: rate(samplesPerSecond) }),
      epoch: (_epoch, loss, accuracy) => bar.update({ loss: loss.toFixed(4), accuracy: percent(accuracy) }),
      end: () => bar.stop(),
    };
  },
};
