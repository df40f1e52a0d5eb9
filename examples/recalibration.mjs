// Running statistics that lag behind, replaced by those of the whole data set. Run it after ./setup.sh with: node examples/recalibration.mjs
import { BatchNorm, Tensor } from 'cuda-batchnorm';

const CHANNELS = 2;
const norm = new BatchNorm(CHANNELS, { runningVariance: 'biased' });

// Batches of several sizes, whose means differ from batch to batch: what an average of the batches' variances leaves out.
const batches = [300, 20, 180, 100, 400].map((rows, batch) =>
  Array.from({ length: rows * CHANNELS }, (_, i) => (i % CHANNELS === 0 ? 50 + 5 * batch : -4) + (1 + batch) * Math.sin(7 * batch + i * i)),
);
const tensorOf = (values) => Tensor.from(values, [values.length / CHANNELS, CHANNELS]);

/** Mean and biased variance of a channel over all rows of all batches, in float64. */
function exactly(channel) {
  const values = batches.flat().filter((_, i) => i % CHANNELS === channel);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
}

async function compare(title) {
  const [mean, variance] = [await norm.runningMean.read(), await norm.runningVar.read()];
  const errors = Array.from({ length: CHANNELS }, (_, channel) => {
    const exact = exactly(channel);
    return Math.max(Math.abs(mean[channel] / exact.mean - 1), Math.abs(variance[channel] / exact.variance - 1));
  });
  console.log(`${title}: greatest relative error of mean and variance ${Math.max(...errors).toExponential(1)}`);
}

for (const values of batches) norm.forward(tensorOf(values), { saveForBackward: false }).dispose();
await compare('moving averages after one pass');

/** One batch on the device at a time: each is read before the next is asked for. */
async function* dataSet() {
  for (const values of batches) {
    const batch = tensorOf(values);
    yield batch;
    batch.dispose();
  }
}
await norm.recalibrate(dataSet());
await compare('recalibrated');
console.log('batches', norm.numBatchesTracked);
norm.dispose();
