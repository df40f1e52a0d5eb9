/** Blocks of a grid tell each other what they have in memory of their stream's own, which grows and is there for the next operation. */

import { expect } from 'chai';
import { nativeDevice } from '../../lib/device';
import { BatchNorm, BatchNormError, Tensor } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { emulator } from '../helpers/emulator';
import { normals } from '../helpers/random';

function makeLayer(channels: number) {
  const shape = [64, channels, 2, 2];
  const values = Float32Array.from(normals(256 * channels, channels));
  const layer = new BatchNorm(channels, { device });
  const input = Tensor.from(values, shape, { device });
  const output = Tensor.empty(shape, { device });
  const run = () => layer.forward(input, { out: output });
  const dispose = () => {
    for (const owner of [layer, input, output]) owner.dispose();
  };
  return { shape, output, run, dispose };
}

/** A step that fails with the nth allocation makes at least n. */
function allocationsOf(run: () => unknown): number {
  for (let count = 0; ; ++count) {
    emulator.fail('allocation', count + 1, 2);
    try {
      run();
      return count;
    } catch (error) {
      if (!(error instanceof BatchNormError) || error.code !== 'ERR_OUT_OF_MEMORY') throw error;
    } finally {
      emulator.fail('allocation', 0);
    }
  }
}

describeEmulated('the memory where blocks of a grid meet', () => {
  const force = (choice: string) => nativeDevice(device).native.force(choice);
  after(() => force(process.env.CUDA_BATCHNORM_PLAN ?? ''));

  it('is allocated once', () => {
    const layer = makeLayer(8);
    const allocations = (choice: string) => {
      force(choice);
      layer.run();
      return allocationsOf(layer.run);
    };
    expect(allocations('team=grid,blocks=4')).to.equal(allocations('team=block'));
    layer.dispose();
  });

  it('grows in the midst of a capture, and the graph keeps all of it', async () => {
    const layers = [8, 16, 64].map(makeLayer);
    const stream = device.createStream();
    const outputs = async () => Promise.all(layers.map(async ({ output }) => [...(await output.read())]));
    force('team=grid,blocks=4');
    for (const { run } of layers) run();
    const expected = await outputs();
    for (const { output } of layers) output.write(new Float32Array(output.size));
    const graph = device.capture(() => {
      for (const { run } of layers) run();
    });
    const others = [1, 2, 3, 4, 5, 6].map(() => Tensor.full([1 << 10], 7, { device })); // take what was let go of
    graph.launch({ stream });
    expect(await outputs()).to.deep.equal(expected);
    for (const other of others) {
      expect((await other.read()).every((value) => value === 7)).to.equal(true);
      other.dispose();
    }
    graph.dispose();
    for (const layer of layers) layer.dispose();
  });
});
