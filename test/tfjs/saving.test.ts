import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { BatchNormError } from '../../lib/index';
import { BatchNormalization, batchNormalization, fileSystem, replaceBatchNormalization, restoreBatchNormalization } from '../../lib/tfjs';
import { expectClose, randomTensor, usePlainBackend } from './helpers';

/** Trained a little, so that no weight has its initial value. */
async function trained(make: (config: object) => tf.layers.Layer, config: object = {}): Promise<tf.LayersModel> {
  const input = tf.input({ shape: [4, 6] });
  const perStep = tf.layers.timeDistributed({ layer: make({ name: 'inner_norm' }) }).apply(input);
  const hidden = tf.layers.dense({ units: 5 }).apply(tf.layers.flatten().apply(perStep));
  const normal = make({ name: 'my_norm', epsilon: 0.02, gammaRegularizer: 'l1l2', ...config }).apply(hidden);
  const model = tf.model({ inputs: input, outputs: tf.layers.dense({ units: 2 }).apply(normal) as tf.SymbolicTensor });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  for (let i = 0; i < 3; i++) await model.trainOnBatch(randomTensor([8, 4, 6], i), randomTensor([8, 2], i + 10));
  return model;
}

const answer = (model: tf.LayersModel) => model.predict(randomTensor([8, 4, 6], 99)) as tf.Tensor;
const layersOf = (model: tf.LayersModel) => model.layers.map((layer) => layer.getClassName());

describe('tfjs saving', () => {
  before(usePlainBackend);

  it('comes back from memory with the same answers, the same configuration and the optimizer', async () => {
    const model = await trained(batchNormalization, { activation: 'leakyRelu' });
    let artifacts: tf.io.ModelArtifacts = {};
    const keep = tf.io.withSaveHandler(async (saved) => {
      artifacts = saved;
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(saved) };
    });
    await model.save(keep, { includeOptimizer: true });
    const asText = JSON.parse(JSON.stringify(artifacts.modelTopology)) as object;
    const loaded = await tf.loadLayersModel(tf.io.fromMemory({ ...artifacts, modelTopology: asText }));
    expectClose(answer(loaded), answer(model), 0);
    expect(loaded.getLayer('my_norm')).to.be.instanceOf(BatchNormalization);
    expect(loaded.getLayer('my_norm').getConfig()).to.deep.equal(model.getLayer('my_norm').getConfig());
    expect(loaded.optimizer.getClassName()).to.equal('Adam');
    await loaded.trainOnBatch(randomTensor([8, 4, 6], 1), randomTensor([8, 2], 2));
  });

  describe('in files', () => {
    let folder = '';
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cuda-batchnorm-'));
    });
    afterEach(() => rm(folder, { recursive: true }));

    it('comes back with the same answers', async () => {
      const model = await trained(batchNormalization);
      const where = join(folder, 'new', 'model');
      const result = await model.save(fileSystem(where));
      expect(await readdir(where)).to.have.members(['model.json', 'weights.bin']);
      expect(result.modelArtifactsInfo.weightDataBytes).to.equal((await readFile(join(where, 'weights.bin'))).length);
      expectClose(answer(await tf.loadLayersModel(fileSystem(where))), answer(model), 0);
    });

    it('replaces what was there', async () => {
      const [first, second] = [await trained(batchNormalization), await trained(batchNormalization)];
      await first.save(fileSystem(folder));
      await second.save(fileSystem(folder));
      expectClose(answer(await tf.loadLayersModel(fileSystem(folder))), answer(second), 0);
    });

    it('names the file that is missing', async () => {
      const failure = await tf.loadLayersModel(fileSystem(folder)).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(failure?.message).to.contain(join(folder, 'model.json'));
    });
  });

  it('exchanges the layers of a model of theirs for ours, those inside of wrappers too', async () => {
    const model = await trained((config) => tf.layers.batchNormalization(config));
    const replaced = await replaceBatchNormalization(model);
    expect(layersOf(replaced)).to.deep.equal(
      layersOf(model).map((name) => (name === 'BatchNormalization' ? BatchNormalization.className : name)),
    );
    expect(JSON.stringify(replaced.toJSON(null, false))).to.not.contain('"BatchNormalization"');
    expect(replaced.getLayer('my_norm').getConfig()).to.include({ epsilon: 0.02, activation: 'identity' });
    expectClose(answer(replaced), answer(model), 1e-5);
    expect(layersOf(model)).to.include('BatchNormalization'); // untouched
  });

  it('and back', async () => {
    const model = await trained(batchNormalization);
    const restored = await restoreBatchNormalization(model);
    expect(JSON.stringify(restored.toJSON(null, false))).to.not.contain(BatchNormalization.className);
    expectClose(answer(restored), answer(model), 1e-5);
  });

  it('says which layer has no counterpart', async () => {
    const model = await trained(batchNormalization, { activation: 'relu' });
    const failure = await restoreBatchNormalization(model).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.be.instanceOf(BatchNormError).with.property('message').that.contains("'my_norm'");
  });
});
