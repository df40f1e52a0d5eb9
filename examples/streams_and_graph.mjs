// Work on two streams, ordered by an event, and a graph that does captured work again. Run it after ./setup.sh with:
// node examples/streams_and_graph.mjs
// On a machine without a GPU the streams are the CPU's, and the graph is left out, with the reason.
import { BatchNorm, Device, Tensor } from 'cuda-batchnorm';

const device = Device.get('auto');
const shape = [16, 4, 8, 8];
const size = 16 * 4 * 64;
const batchOf = (seed) => Float32Array.from({ length: size }, (_, i) => seed + Math.sin(seed * 31 + i));
const sameBits = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
console.log(`device ${device.name}: ${device.description}`);

// Two layers, one after the other, on a stream each.
const [one, two] = [new BatchNorm(4, { device, activation: 'relu' }), new BatchNorm(4, { device })];
const [first, second] = [device.createStream(), device.createStream()];
const input = Tensor.from(batchOf(1), shape, { device });
const hidden = one.forward(input, { stream: first });
second.wait(first.record()); // what is queued on `second` from here on comes after what is on `first` now
const output = two.forward(hidden, { stream: second });
await second.synchronize();
const inOrder = new BatchNorm(4, { device }).forward(new BatchNorm(4, { device, activation: 'relu' }).forward(input));
console.log('two streams:', sameBits(await output.read(), await inOrder.read()) ? 'the bits of one stream' : 'WRONG');

// Inference as a graph: the same kernels on the same memory, at the price of one call. What changes is what lies in `input`.
if (device.type === 'cpu') {
  const { reason } = Device.report().find(({ name }) => name === 'cuda');
  console.log(`graph: left out, it needs a CUDA device (${reason})`);
} else {
  one.eval();
  two.eval();
  const middle = Tensor.empty(shape, { device });
  const result = Tensor.empty(shape, { device });
  const step = () => {
    one.forward(input, { out: middle });
    two.forward(middle, { out: result });
  };
  const graph = device.capture(step); // records, and does nothing yet
  for (const seed of [2, 3, 4]) {
    input.write(batchOf(seed));
    graph.launch();
    const launched = await result.read();
    step();
    console.log(`graph, batch ${seed}:`, sameBits(launched, await result.read()) ? 'the bits of the calls it captured' : 'WRONG');
  }
  graph.dispose();
}
