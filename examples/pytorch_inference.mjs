// The batch norms of a PyTorch model, found by name in a safetensors file, and used for inference. Run it after ./setup.sh with:
// node examples/pytorch_inference.mjs
// or with the path of a model behind it. Without one it writes itself a small checkpoint first.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BatchNorm, Tensor } from 'cuda-batchnorm';
import { loadBatchNorms, readStateDict, writeStateDict } from 'cuda-batchnorm/pytorch';

const SHAPE = [4, 8, 8]; // of what each layer is given: N, and H × W
const wave = (length, seed) => Float32Array.from({ length }, (_, i) => seed + 2 * Math.sin(seed + 1.7 * i));

/** A checkpoint as `safetensors.torch.save_file(model.state_dict(), …)` writes it, of two layers that have seen some batches. */
async function writeCheckpoint() {
  const file = join(await mkdtemp(join(tmpdir(), 'batch-norm-')), 'model.safetensors');
  const layers = { bn1: new BatchNorm(16), 'layer1.0.bn2': new BatchNorm(32) };
  for (const layer of Object.values(layers)) {
    layer.weight.write(wave(layer.numFeatures, 1));
    for (const seed of [3, 4, 5]) layer.forward(Tensor.from(wave(8 * layer.numFeatures, seed), [8, layer.numFeatures]));
  }
  await writeStateDict(file, layers);
  return file;
}

/** The formula itself, in float64, at every element of [N, C, H, W]. */
function expected(input, { weight, bias, running_mean: mean, running_var: variance }, channels) {
  const inner = SHAPE[1] * SHAPE[2];
  return Array.from(input, (value, i) => {
    const c = Math.floor(i / inner) % channels;
    const normalized = (value - mean.data[c]) / Math.sqrt(variance.data[c] + 1e-5);
    return normalized * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0);
  });
}

const file = process.argv[2] ?? (await writeCheckpoint());
console.log('model', file);
const layers = await loadBatchNorms(file);
for (const [name, layer] of layers) {
  const { numFeatures } = layer; // which is in eval mode
  const [n, height, width] = SHAPE;
  const input = wave(n * numFeatures * height * width, 0.5);
  const output = await layer.forward(Tensor.from(input, [n, numFeatures, height, width])).read();
  const exact = expected(input, await readStateDict(file, name), numFeatures);
  const scale = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const error = exact.reduce((most, value, i) => Math.max(most, Math.abs(value - output[i])), 0) / scale;
  console.log(
    `${name}: ${numFeatures} channels, ${layer.numBatchesTracked} batches; off the formula in float64 by ${error.toExponential(1)}`,
  );
  layer.dispose();
}
console.log(`${layers.size} layers`);
if (process.argv[2] === undefined) await rm(dirname(file), { recursive: true }); // the checkpoint made above
