import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { diagnose } from '../../lib/cli/doctor/diagnosis';
import type { Facts } from '../../lib/cli/doctor/facts';
import { layOut } from '../../lib/cli/doctor/page';
import { HEALTHY, withoutCuda, withoutCudnn } from './machines';

const page = (facts: Facts, width = 80, colour = false) => layOut(diagnose(facts), { width, colour });
const MACHINES: Facts[] = [
  HEALTHY,
  withoutCuda('no-driver'),
  withoutCuda('driver-too-old'),
  withoutCuda('not-built'),
  withoutCudnn('unreadable'),
];

describe('the page', () => {
  it('keeps to the width and to ASCII, and is aligned', () => {
    for (const facts of MACHINES) {
      for (const width of [60, 80, 100]) {
        const lines = page(facts, width).split('\n');
        for (const line of lines) expect(line).to.match(/^[\x20-\x7e]*$/);
        // Commands and paths are not broken, even if they are longer than the room.
        for (const line of lines) if (!/[`/]/.test(line)) expect(line.length, line).to.be.at.most(width);
        for (const line of lines.slice(2, lines.indexOf('', 2))) expect(line).to.match(/^( (ok|--|!!) {2}.{14} | {20})\S|^ {23}\S/);
      }
    }
  });

  it('keeps commands whole, for copying', () => {
    for (const command of ['`sudo apt-get install nvidia-driver`', '`CUDACXX=/its/bin/nvcc npm rebuild cuda-batchnorm`']) {
      for (const width of [60, 70, 80, 100]) expect(page(withoutCuda('driver-too-old'), width)).to.include(command);
    }
  });

  it('says what is the case, what it means and what to do, in this order', () => {
    expect(page(withoutCuda('no-driver'), 100)).to.match(
      / -- {2}NVIDIA driver {2}the very reason of no-driver\n {20}Batch norm runs on the CPU\.\n {20}-> For an NVIDIA GPU: install/,
    );
  });

  it('ends with the verdict', () => {
    expect(page(HEALTHY)).to.include("\nBatch norm works here: device 'auto' is cuda:0.\n");
    expect(page(withoutCuda('driver-too-old'))).to.include("device 'auto' is cpu. One thing needs attention.\n");
    const failure = { message: 'broken' };
    expect(page({ ...HEALTHY, auto: { failure } })).to.include("works here on device 'cpu', and not on 'auto'");
    expect(page({ ...HEALTHY, cpu: { failure } })).to.include('Batch norm does not work here');
  });

  it('is shown in the README', () => {
    const shown = /^cuda-batchnorm \d[^`]*?\n\n([\s\S]*?)^```$/m.exec(readFileSync(resolve(__dirname, '../../README.md'), 'utf8'))![1]!;
    const outline = (text: string) => text.split('\n').flatMap((line) => /^ (?:ok|--|!!) {2}(\S.{13})/.exec(line)?.[1] ?? []);
    expect(outline(shown)).to.deep.equal(outline(page(withoutCuda('no-driver'))));
    expect(shown.trim().split('\n').slice(-2)).to.deep.equal(page(withoutCuda('no-driver')).trim().split('\n').slice(-2));
  });

  it('has colours only where asked to, and the same text', () => {
    const [red, green, grey, plain] = ['\x1b[31m', '\x1b[32m', '\x1b[90m', '\x1b[0m'];
    const coloured = page(withoutCuda('driver-too-old'), 80, true);
    expect(coloured).to.include(`${red}!!${plain}  NVIDIA driver`).and.to.include(`${green}ok${plain}  CPU`);
    const bare = [red, green, grey, plain].reduce((text, code) => text.replaceAll(code!, ''), coloured);
    expect(bare).to.equal(page(withoutCuda('driver-too-old')));
  });
});
