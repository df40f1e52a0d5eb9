// Memory shared by address with another native addon, both ways. Run it after ./setup.sh with:
// npx cmake-js --directory examples/other_addon --out out/other_addon && node examples/other_addon.mjs
import { createRequire } from 'node:module';
import { BatchNorm, Tensor } from 'cuda-batchnorm';

const other = createRequire(import.meta.url)('../out/other_addon/Release/other_addon.node');
const norm = new BatchNorm(2, { device: 'cpu' }); // whose memory is the process's own: any C++ may work on it

// Ours to them: the address is valid until the tensor is disposed or collected, so the tensor must be held meanwhile.
const input = Tensor.from([1, 2, 3, 4, 5, 6, 7, 8], [4, 2], { device: 'cpu' });
const output = norm.forward(input); // queued
await norm.device.synchronize(); // the other addon knows nothing of queues: the work must be done before it looks
const before = await output.read();
other.scale(output.pointer, output.size, 10);
const after = await output.read();
console.log('scaled by the other addon:', after.every((value, i) => value === Math.fround(before[i] * 10)) ? 'all right' : 'WRONG');

// Theirs to us: the tensor is a view that owns nothing, so `ramp`, which owns the memory, must outlive all work on it.
const ramp = other.makeRamp(8);
const view = Tensor.fromPointer(ramp.address, [4, 2], { device: 'cpu' });
console.log('their values', (await view.read()).join(' '));
norm.eval().forward(view, { out: view, saveForBackward: false }); // queued, and writes into their memory
await norm.device.synchronize(); // before they read it, and before `ramp` may go
other.scale(ramp.address, view.size, 0.5);
console.log('normalized here, halved there', Array.from(await view.read(), (value) => value.toFixed(3)).join(' '));
view.dispose(); // forgets their memory without freeing it; that is done when `ramp` is collected
norm.dispose();
