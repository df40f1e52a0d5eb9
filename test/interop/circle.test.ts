import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { BatchNorm } from '../../lib/index';
import { fromKeras, toKeras } from '../../lib/interop/keras';
import { encodeOnnx, readBatchNorms } from '../../lib/interop/onnx';
import { loadBatchNorm, writeStateDict } from '../../lib/interop/pytorch';
import { device } from '../helpers/device';
import { inputOf, layerOf, type Sample, samples } from './layers';
import { runLayer } from './onnx_models';

/** There and back: the layer that comes home. */
interface Journey {
  name: string;
  travel: (layer: BatchNorm, sample: Sample) => Promise<BatchNorm>;
}

const folder = mkdtempSync(join(tmpdir(), 'circle-'));

/** Every place a layer can go to; one more is one more entry. */
const JOURNEYS: Journey[] = [
  {
    name: 'ONNX',
    travel: async (layer, { shape }) => {
      const [found] = await readBatchNorms(await encodeOnnx(layer, { rank: shape.length }));
      return found!.toBatchNorm({ device });
    },
  },
  {
    name: 'PyTorch',
    // A state has no options: whoever loads it says them, as in PyTorch.
    travel: async (layer) => {
      const { eps, momentum, axis, runningVariance } = layer;
      const file = join(folder, 'layer.safetensors');
      await writeStateDict(file, { 'features.1': layer });
      return loadBatchNorm(file, 'features.1', { eps, momentum, axis, runningVariance, device });
    },
  },
  {
    name: 'Keras',
    travel: async (layer) => {
      const { config, weights } = await toKeras(layer);
      return fromKeras(JSON.parse(JSON.stringify(config)), weights, { device });
    },
  },
];

/** From place to place, each starting from what came home from the one before. */
async function travel(start: BatchNorm, sample: Sample, journeys: readonly Journey[]): Promise<BatchNorm> {
  let layer = start;
  for (const journey of journeys) {
    const next = await journey.travel(layer, sample);
    if (layer !== start) layer.dispose();
    layer = next;
  }
  return layer;
}

const state = async (layer: BatchNorm) => {
  const { num_batches_tracked, ...rest } = await layer.stateDict();
  return rest;
};

describe('there and back again', () => {
  after(() => rmSync(folder, { recursive: true }));

  // ONNX keeps eps as a float32: only where that loses nothing is the output the same to the bit. Its axis is 1.
  const drawn = samples({ axis: 1, activation: 'identity' }).map((sample) => ({
    ...sample,
    options: { ...sample.options, eps: Math.fround(sample.options.eps!) },
  }));

  for (const journeys of [JOURNEYS, [...JOURNEYS].reverse(), ...JOURNEYS.map((journey) => [journey])]) {
    it(`is the same layer, bit for bit: by way of ${journeys.map(({ name }) => name).join(', ')}`, async () => {
      await fc.assert(
        fc.asyncProperty(drawn, async (sample) => {
          using layer = layerOf(sample);
          using home = await travel(layer, sample, journeys);
          const input = inputOf(sample);
          expect(await runLayer(home, input, sample.shape)).to.deep.equal(await runLayer(layer, input, sample.shape));
          expect(home).to.include({ eps: layer.eps, axis: 1, dtype: layer.dtype, training: false });
          expect(home.momentum).to.be.closeTo(layer.momentum!, 1e-7);
          const brought = await state(home);
          for (const [name, entry] of Object.entries(await state(layer))) expect(brought[name], name).to.deep.equal(entry);
        }),
        { numRuns: 60 },
      );
    });
  }

  it('is the same layer by way of Keras, whatever the axis', async () => {
    await fc.assert(
      fc.asyncProperty(samples({ activation: 'identity' }), async (sample) => {
        using layer = layerOf(sample);
        using home = await travel(layer, sample, [JOURNEYS.find(({ name }) => name === 'Keras')!]);
        const input = inputOf(sample);
        expect(await runLayer(home, input, sample.shape)).to.deep.equal(await runLayer(layer, input, sample.shape));
        expect(home).to.include({ axis: layer.axis, eps: layer.eps });
        expect(await state(home)).to.deep.equal(await state(layer));
      }),
      { numRuns: 100 },
    );
  });
});
