import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { BatchNorm, batchNormTraining, Tensor } from '../lib/index';
import { device, emulated } from './helpers/device';
import { collect } from './helpers/garbage';
import { skip } from './helpers/shared';

const MIB = 2 ** 20;

describe('memory', function () {
  this.timeout(600_000);

  before(function () {
    if (globalThis.gc === undefined) skip(this, 'Node.js was started without --expose-gc');
  });

  describe('of small training steps', () => {
    const SHAPE = [8, 16, 4, 4];
    const STEPS = emulated ? 1000 : 100_000;
    // A leak of one small object of JavaScript per step would be above the one, of one queued task above the other, each time; the engine may
    // take memory for its heap once.
    const HEAP_GROWTH = 2 * MIB;
    const RESIDENT_GROWTH = 6 * MIB;

    function step(layer: BatchNorm, input: Tensor): void {
      const output = layer.forward(input, { residual: input });
      const gradients = layer.backward(output);
      for (const tensor of [output, gradients.input, gradients.weight!, gradients.bias!, gradients.residual!]) tensor.dispose();
    }

    async function run(steps: number, layer: BatchNorm, input: Tensor): Promise<void> {
      for (let i = 1; i <= steps; ++i) {
        step(layer, input);
        if (i % 100 === 0) await device.synchronize();
      }
    }

    it(`is flat over ${STEPS} of them`, async function () {
      const layer = new BatchNorm(16, { device, activation: 'relu' });
      const input = Tensor.full(SHAPE, 1, { device });
      await run(STEPS / 5, layer, input);
      await collect(10);
      const growth = async () => {
        const before = { ...device.memory(), ...process.memoryUsage() };
        await run(STEPS, layer, input);
        await collect(10);
        const after = { ...device.memory(), ...process.memoryUsage() };
        expect(after.live).to.equal(before.live);
        expect(after.reserved).to.equal(before.reserved);
        expect(after.heapUsed - before.heapUsed, 'growth of the heap').to.be.lessThan(HEAP_GROWTH);
        return after.rss - before.rss;
      };
      const grown = [await growth()];
      expect(layer.numBatchesTracked).to.equal(STEPS / 5 + STEPS);
      const variant = process.env.CUDA_BATCHNORM_VARIANT ?? 'release';
      if (variant !== 'release') skip(this, `resident memory says little in the variant '${variant}', which keeps freed memory`);
      while (grown.at(-1)! > RESIDENT_GROWTH && grown.length < 4) grown.push(await growth());
      expect(grown.at(-1), `resident memory grew by ${grown.join(', ')} bytes`).to.be.at.most(RESIDENT_GROWTH);
      layer.dispose();
      input.dispose();
    });
  });

  describe('returns to the pool', () => {
    const TENSORS = 20;
    const SHAPE = [16, 64, 256]; // 1 MiB
    let live: number;

    beforeEach(async () => {
      await collect(10); // what earlier tests left behind
      live = device.memory().live;
    });

    afterEach(() => device.emptyCache());

    const create = () => Array.from({ length: TENSORS }, () => Tensor.zeros(SHAPE, { device }));

    it('when tensors are disposed', () => {
      const tensors = create();
      expect(device.memory().live - live).to.be.at.least(TENSORS * MIB);
      for (const tensor of tensors) tensor.dispose();
      expect(device.memory().live).to.equal(live);
    });

    it('when tensors are collected', async () => {
      create();
      expect(device.memory().live - live).to.be.at.least(TENSORS * MIB);
      await collect(100, () => device.memory().live === live);
      expect(device.memory().live).to.equal(live);
    });

    it('when layers are collected, and what they saved', async () => {
      (() => {
        for (let i = 0; i < TENSORS; ++i) new BatchNorm(64, { device }).forward(Tensor.zeros(SHAPE, { device }));
      })();
      expect(device.memory().live - live).to.be.at.least(2 * TENSORS * MIB);
      await collect(100, () => device.memory().live === live);
      expect(device.memory().live).to.equal(live);
    });

    it('when tensors and layers are disposed while their work is queued', async () => {
      const layer = new BatchNorm(64, { device, activation: 'silu' });
      const [input, residual] = create();
      for (let i = 0; i < 10; ++i) {
        const output = layer.forward(input!, { residual: residual! });
        const reading = output.read();
        output.dispose();
        const written = Tensor.full(SHAPE, i, { device }); // may be given the memory of the output
        written.dispose();
        const first = (await reading)[0];
        expect(first).to.equal(0);
      }
      const { output, statistics } = batchNormTraining(input!);
      for (const owner of [input!, residual!, output, statistics, layer]) owner.dispose();
      await device.synchronize();
      expect(device.memory().live).to.be.at.most(live + (TENSORS - 2) * MIB);
      await collect(100, () => device.memory().live === live);
      expect(device.memory().live).to.equal(live);
    });

    it('when a forward pass replaces the one saved before, and when backward uses it up', () => {
      const layer = new BatchNorm(64, { device });
      const held = () => device.memory().live;
      const forward = () => {
        const input = Tensor.zeros(SHAPE, { device });
        layer.forward(input).dispose();
        input.dispose();
      };
      const idle = held();
      forward();
      const saved = held();
      expect(saved - idle).to.be.at.least(MIB);
      forward();
      expect(held()).to.equal(saved);
      const gradOutput = Tensor.zeros(SHAPE, { device });
      const { input, weight, bias } = layer.backward(gradOutput);
      for (const tensor of [gradOutput, input, weight!, bias!]) tensor.dispose();
      expect(held()).to.equal(idle);
      forward();
      layer.eval();
      forward();
      expect(held()).to.equal(idle);
      layer.dispose();
      expect(held()).to.equal(live);
    });
  });

  it('of a disposed tensor goes to the next, of whatever size', async () => {
    await collect(10);
    const before = device.memory().live;
    const first = Tensor.full([10], 1, { device });
    first.dispose();
    const second = Tensor.full([3000], 2, { device });
    const third = Tensor.full([20], 3, { device });
    expect(device.memory().live - before).to.equal(4 * 3020);
    first.dispose(); // a second time: nothing of the others' is given back
    expect(device.memory().live - before).to.equal(4 * 3020);
    expect(Array.from(await second.read())).to.deep.equal(new Array(3000).fill(2));
    expect(Array.from(await third.read())).to.deep.equal(new Array(20).fill(3));
    expect(() => first.readSync()).to.throw('not disposed');
    for (const tensor of [second, third]) tensor.dispose();
    expect(device.memory().live).to.equal(before);
  });

  it('is collected in time where nobody disposes, for the collector is told how much tensors hold', async () => {
    const { live } = device.memory();
    let most = 0;
    for (let i = 0; i < 1000; ++i) {
      Tensor.empty([MIB / 4], { device });
      most = Math.max(most, device.memory().live - live);
      await turn();
    }
    expect(most).to.be.lessThan(500 * MIB);
    device.emptyCache();
  });
});
