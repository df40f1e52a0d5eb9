import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { expect } from 'chai';
import { type BatchNorm, Tensor } from '../../lib/index';
import { foldBatchNorm } from '../../lib/interop/folding';
import { loadBatchNorms } from '../../lib/interop/pytorch';
import { readSafetensors, type SafetensorsTensor } from '../../lib/interop/safetensors';
import { cudaBatchnorm, temporaryFolder } from '../demo/helpers';
import { device } from '../helpers/device';
import { skip } from '../helpers/shared';
import { expectWithin, within } from '../helpers/within';
import { images, logits, type Normalize, type Parameters, valuesOf } from './resnet20';

const MODEL = resolve(__dirname, '../../../shared/data/resnet20/resnet20_cifar10.safetensors');
const COUNT = 3;

/** PyTorch 2.13 in double, of the same images. */
const REFERENCE = [
  [-6.2555876, -7.7245292, 7.1516152, 7.1416739, 5.4966062, -5.5944348, 11.0220586, -7.5082168, -1.8790155, -1.8389836],
  [-4.2361977, -6.029183, 6.8718634, 4.5825954, 4.8557417, -5.4904821, 11.8292195, -7.4924624, -2.9783021, -1.8976329],
  [-5.459023, -5.2006047, 8.0759475, 7.1069116, 4.6651356, -3.6791935, 9.7061114, -5.6921256, -4.7070131, -4.8261949],
].flat();

const folded: Normalize = (x) => x;

function byLayers(layers: ReadonlyMap<string, BatchNorm>): Normalize {
  return (x, name) => {
    using input = Tensor.from(x.dataSync<'float32'>(), x.shape, { device });
    using output = layers.get(name)!.forward(input);
    return tf.tensor4d(output.readSync() as Float32Array, x.shape);
  };
}

function byTensorFlow(parameters: Parameters): Normalize {
  return (x, name) => {
    const [mean, variance, offset, scale] = ['running_mean', 'running_var', 'bias', 'weight'].map((part) =>
      valuesOf<tf.Tensor1D>(parameters, `${name}.${part}`),
    );
    return tf.batchNorm4d(x, mean!, variance!, offset, scale, 1e-5);
  };
}

describe('a ResNet-20 whose batch norm is', () => {
  const path = temporaryFolder();
  let input: tf.Tensor4D;
  let parameters: Parameters;
  let layers: Map<string, BatchNorm>;

  before(async function () {
    if (!existsSync(MODEL)) skip(this, `there is no ${MODEL}`);
    tf.enableProdMode();
    await tf.setBackend('wasm');
    input = images(COUNT);
    parameters = (await readSafetensors(MODEL)).tensors;
    layers = await loadBatchNorms(MODEL, { axis: -1, device });
    for (const layer of layers.values()) layer.eval();
  });
  after(() => {
    for (const layer of layers?.values() ?? []) layer.dispose();
  });

  const check = (actual: Float32Array) => expectWithin(actual, within(REFERENCE, 2e-5, 1e-4), 'float32', 'logits');

  it('TensorFlow.js’s gives PyTorch’s logits', () => {
    check(logits(input, parameters, byTensorFlow(parameters)));
  });

  it('ours gives the same', () => {
    check(logits(input, parameters, byLayers(layers)));
  });

  it('folded in memory gives the same', async () => {
    const changed = new Map<string, SafetensorsTensor>(parameters);
    for (const [name, layer] of layers) {
      const conv = name.replace('bn', 'conv');
      const { weight, bias } = await foldBatchNorm(parameters.get(`${conv}.weight`)!, null, layer);
      changed.set(`${conv}.weight`, weight).set(`${conv}.bias`, bias);
    }
    check(logits(input, changed, folded));
    expect(() => check(logits(input, parameters, folded)), 'without the batch norms at all').to.throw();
  });

  it('folded in the file, by the command, gives the same', async () => {
    const file = path('folded.safetensors');
    const { status, stderr } = cudaBatchnorm('fold', MODEL, '--pairs', 'conv1=bn1', '--pairs', '*.conv*=*.bn*', '--out', file);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    const { tensors } = await readSafetensors(file);
    expect([...tensors.keys()].filter((name) => name.includes('bn'))).to.deep.equal([]);
    check(logits(input, tensors, folded));
  });
});
