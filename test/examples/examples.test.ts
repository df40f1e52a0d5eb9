/** The examples print what they promise: figures that a broken batch norm would not print. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { outputOf } from '../helpers/program';

const ROOT = join(__dirname, '../..');
const example = (name: string): string => outputOf(join('examples', name));

/** All numbers behind a label, up to the end of its line. */
function numbersAfter(output: string, label: string): number[] {
  const [, line] = new RegExp(`^${label}(.*)$`, 'm').exec(output) ?? [];
  expect(line, `${label} in\n${output}`).to.be.a('string');
  return [...line!.matchAll(/-?\d+(?:\.\d+)?(?:e-?\d+)?/g)].map(([number]) => Number(number));
}

describe('the examples', () => {
  it('first_use.mjs: running mean a tenth of the batch mean, and gradients of β that count the positive outputs', () => {
    const output = example('first_use.mjs');
    expect(output).to.match(/running mean Float32Array\(3\) \[\s*0\.4499\d+,\s*0\.6999\d+,\s*0\.8999\d+\s*\]/);
    expect(output).to.include('bias gradient Float32Array(3) [ 2, 2, 2 ]');
  });

  it('tfjs_layer.mjs: learns, and replaces their layer without a difference', () => {
    const output = example('tfjs_layer.mjs');
    const [first, last] = numbersAfter(output, 'loss ');
    expect(last).to.be.lessThan(first! / 3);
    expect(numbersAfter(output, 'largest difference ')[0]).to.be.lessThan(1e-6);
  });

  it('tfjs_training.mjs: learns what the same model without batch norm does not, for inference too', () => {
    const output = example('tfjs_training.mjs');
    const [loss, accuracy] = numbersAfter(output, 'with batch norm ');
    expect(loss).to.be.lessThan(0.25);
    expect(accuracy).to.be.greaterThan(0.93);
    const [lossWithout, accuracyWithout] = numbersAfter(output, 'without batch norm ');
    expect(lossWithout).to.be.greaterThan(0.6);
    expect(accuracyWithout).to.be.lessThan(0.7);
  });

  it('streams_and_graph.mjs: two streams are one on the CPU, and the graph is left out with the reason', () => {
    const output = example('streams_and_graph.mjs');
    expect(output).to.include('two streams: the bits of one stream\n');
    expect(output).to.match(/^graph: left out, it needs a CUDA device \(.{10,}\)$/m);
  });

  it('recalibration.mjs: exact to the rounding of float32 where moving averages are far off', () => {
    const output = example('recalibration.mjs');
    expect(numbersAfter(output, 'moving averages after one pass: .* variance ')[0]).to.be.greaterThan(0.1);
    expect(numbersAfter(output, 'recalibrated: .* variance ')[0]).to.be.lessThan(2e-7);
    expect(numbersAfter(output, 'batches ')).to.deep.equal([5]);
  });

  it('pytorch_inference.mjs: finds the layers of its checkpoint, and computes what the formula says', () => {
    const output = example('pytorch_inference.mjs');
    for (const layer of ['bn1: 16 channels, 3 batches; ', 'layer1\\.0\\.bn2: 32 channels, 3 batches; '])
      expect(numbersAfter(output, `${layer}off the formula in float64 by `)[0]).to.be.lessThan(1e-6);
    expect(output).to.match(/^2 layers$/m);
  });

  it('other_addon.mjs: works on our memory, and ours on its', () => {
    const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
    const build = [cmakeJs, '--directory', 'examples/other_addon', '--out', 'out/other_addon'];
    const { status, stdout, stderr } = spawnSync(process.execPath, build, { cwd: ROOT, encoding: 'utf8' });
    expect(status, stdout + stderr).to.equal(0);
    const output = example('other_addon.mjs');
    expect(output).to.include('scaled by the other addon: all right\n');
    expect(numbersAfter(output, 'their values')).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
    // The running statistics after one batch: mean 0.1·4 and 0.1·5, variance 0.9 + 0.1·20/3.
    const expected = [0, 1, 2, 3, 4, 5, 6, 7].map((value, i) => (value - (i % 2 === 0 ? 0.4 : 0.5)) / Math.sqrt(0.9 + 2 / 3 + 1e-5) / 2);
    for (const [i, number] of numbersAfter(output, 'normalized here, halved there').entries())
      expect(number).to.be.closeTo(expected[i]!, 6e-4);
  });
});
