// First use: one training step and one inference. Run it after ./setup.sh with: node examples/first_use.mjs
import { BatchNorm, Tensor } from 'cuda-batchnorm';

const norm = new BatchNorm(3, { activation: 'relu' }); // 3 channels, on the best device there is
const input = Tensor.from([1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13], [2, 3, 1, 2]); // [N, C, H, W]
const output = norm.forward(input); // training mode: the batch's statistics; queued, returns at once
const gradients = norm.backward(Tensor.full(output.shape, 1)); // { input, weight, bias }
console.log('output', await output.read(), 'bias gradient', await gradients.bias?.read());

norm.eval(); // from here on the running statistics
console.log('inference', await norm.forward(input).read(), 'running mean', await norm.runningMean?.read());
norm.dispose(); // frees its memory now; without it garbage collection does, later
