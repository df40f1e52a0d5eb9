/** A captured training step, launched again and again, is the step itself. */

import { expect } from 'chai';
import { BatchNorm, type BatchNormOptions, Device, Tensor } from '../../lib/index';
import { describeCuda } from '../helpers/cuda';
import { device } from '../helpers/device';
import { expectError, expectRejection } from '../helpers/failure';
import { normals } from '../helpers/random';

const SHAPE = [8, 6, 7, 7];
const COUNT = 8 * 6 * 49;
const BATCHES = [1, 2, 3].map((seed) => Float32Array.from(normals(COUNT, seed, seed, 1 + seed)));
const GRADIENT = Float32Array.from(normals(COUNT, 4));

/** A layer and the tensors of its step, which writes its output to the same place each time. */
function makeStep(options: BatchNormOptions = {}) {
  const layer = new BatchNorm(6, { device, activation: 'relu', ...options });
  const input = Tensor.zeros(SHAPE, { device });
  const residual = Tensor.from(GRADIENT.toReversed(), SHAPE, { device });
  const gradient = Tensor.from(GRADIENT, SHAPE, { device });
  const output = Tensor.empty(SHAPE, { device });
  const run = () => {
    layer.forward(input, { residual, out: output });
    return layer.backward(gradient);
  };
  const dispose = () => {
    for (const owner of [layer, input, residual, gradient, output]) owner.dispose();
  };
  return { layer, input, output, run, dispose };
}

type Gradients = ReturnType<ReturnType<typeof makeStep>['run']>;

async function resultsOf({ layer, output }: ReturnType<typeof makeStep>, gradients: Gradients): Promise<number[][]> {
  const tensors = [output, gradients.input, gradients.weight!, gradients.bias!, gradients.residual!, layer.runningMean!, layer.runningVar!];
  return [...(await Promise.all(tensors.map(async (tensor) => [...(await tensor.read())]))), [layer.numBatchesTracked]];
}

function release({ input, weight, bias, residual }: Gradients): void {
  for (const tensor of [input, weight, bias, residual]) tensor?.dispose();
}

async function eagerResults(options?: BatchNormOptions): Promise<number[][][]> {
  const step = makeStep(options);
  const results: number[][][] = [];
  for (const batch of BATCHES) {
    step.input.write(batch);
    const gradients = step.run();
    results.push(await resultsOf(step, gradients));
    release(gradients);
  }
  step.dispose();
  return results;
}

describeCuda('graphs', () => {
  it('three launches of a captured training step are three eager steps, to the bit', async () => {
    const expected = await eagerResults();
    const step = makeStep();
    let gradients: Gradients | undefined;
    const graph = device.capture(() => {
      gradients = step.run();
    });
    for (const [i, batch] of BATCHES.entries()) {
      step.input.write(batch);
      graph.launch();
      expect(await resultsOf(step, gradients!)).to.deep.equal(expected[i]);
    }
    graph.dispose();
    release(gradients!);
    step.dispose();
  });

  it('renormalizes by the running statistics of each launch, and counts each ghost batch', async () => {
    const options = { renorm: { rMax: 3, dMax: 5 }, virtualBatchSize: 3 };
    const expected = await eagerResults(options);
    expect(expected.map((results) => results.at(-1))).to.deep.equal([[3], [6], [9]]);
    const step = makeStep(options);
    let gradients: Gradients | undefined;
    const graph = device.capture(() => {
      gradients = step.run();
    });
    for (const [i, batch] of BATCHES.entries()) {
      step.input.write(batch);
      graph.launch();
      expect(await resultsOf(step, gradients!)).to.deep.equal(expected[i]);
    }
    graph.dispose();
    release(gradients!);
    step.dispose();
  });

  it('capturing does nothing itself', async () => {
    const step = makeStep();
    step.input.write(BATCHES[0]!);
    step.output.write(GRADIENT);
    const graph = device.capture(() => release(step.run()));
    expect(await step.output.read()).to.deep.equal(GRADIENT);
    expect([...(await step.layer.runningMean!.read())]).to.deep.equal(new Array(6).fill(0));
    expect(step.layer.numBatchesTracked).to.equal(0);
    graph.dispose();
    step.dispose();
  });

  it('launches on the stream it is told to, in order with its other work', async () => {
    const expected = await eagerResults();
    const step = makeStep();
    let gradients: Gradients | undefined;
    const graph = device.capture(() => {
      gradients = step.run();
    });
    const stream = device.createStream();
    for (const batch of BATCHES) {
      step.input.write(batch);
      graph.launch({ stream });
    }
    expect(await resultsOf(step, gradients!)).to.deep.equal(expected[2]);
    graph.dispose();
    release(gradients!);
    step.dispose();
  });

  it('keeps the memory it works on, whoever else lets go of it', async () => {
    const step = makeStep();
    step.input.write(BATCHES[0]!);
    const graph = device.capture(() => release(step.run()));
    const { live } = device.memory();
    step.dispose();
    const others = Array.from({ length: 8 }, () => Tensor.full(SHAPE, 7, { device })); // takes the memory, were it free
    graph.launch();
    await device.synchronize();
    for (const other of others) {
      expect((await other.read()).every((value) => value === 7)).to.equal(true);
      other.dispose();
    }
    graph.dispose();
    expect(device.memory().live).to.be.lessThan(live);
  });

  describe('a capture', () => {
    it('refuses what needs the host, and the device works as before', async () => {
      const step = makeStep();
      step.input.write(BATCHES[0]!);
      const attempts: [string, () => unknown][] = [
        ['write', () => step.input.write(BATCHES[1]!)],
        ['read', () => step.input.readSync()],
        ['upload', () => Tensor.from(GRADIENT, SHAPE, { device })],
        ['synchronize', () => device.synchronizeSync()],
      ];
      for (const [name, attempt] of attempts) {
        expectError(
          () =>
            device.capture(() => {
              step.run();
              attempt();
            }),
          'ERR_STATE',
          'captur',
        );
        const gradients = step.run();
        expect(
          (await step.output.read()).some((value) => value !== 0),
          `a step after the refused ${name}`,
        ).to.equal(true);
        release(gradients);
      }
      step.dispose();
    });

    it('refuses streams of their own, and events', () => {
      const step = makeStep();
      const stream = device.createStream();
      expectError(() => device.capture(() => void step.layer.forward(step.input, { stream })), 'ERR_STATE', 'captur');
      expectError(() => device.capture(() => void stream.record()), 'ERR_STATE', 'captur');
      step.dispose();
    });

    it('takes no function that goes on after it returned', () => {
      expectError(() => device.capture(async () => {}), 'ERR_INVALID_ARGUMENT', 'fn');
    });

    it('does not recalibrate: a graph repeats work of the device alone', async () => {
      const layer = new BatchNorm(6, { device });
      const input = Tensor.from(BATCHES[0]!, SHAPE, { device });
      let recalibrated: Promise<void> | undefined;
      device
        .capture(() => {
          layer.forward(input).dispose();
          recalibrated = layer.recalibrate([input]);
        })
        .dispose();
      await expectRejection(recalibrated!, 'ERR_STATE', 'captur');
      expect(layer.numBatchesTracked).to.equal(0);
      for (const owned of [layer, input]) owned.dispose();
    });

    it('within another is refused', () => {
      expectError(() => device.capture(() => device.capture(() => {})), 'ERR_STATE', 'captur');
    });

    it('passes on what the function throws, and forgets what it recorded', () => {
      const step = makeStep();
      const { live } = device.memory();
      const mine = new RangeError('mine');
      expect(() =>
        device.capture(() => {
          release(step.run());
          throw mine;
        }),
      ).to.throw(RangeError, 'mine');
      expect(device.memory().live).to.equal(live);
      step.dispose();
    });

    it('is refused without a function, and by a device without graphs', () => {
      for (const given of [undefined, null, 1, {}]) expectError(() => device.capture(given as never), 'ERR_INVALID_ARGUMENT', 'fn');
      expectError(() => Device.get('cpu').capture(() => {}), 'ERR_STATE', 'cpu');
    });

    it('of a layer with a cumulative average is refused: each launch would need another weight', () => {
      const step = makeStep({ momentum: null });
      expectError(() => device.capture(() => release(step.run())), 'ERR_STATE', 'momentum');
      step.dispose();
    });
  });

  it('a graph that was disposed is not launched', () => {
    const graph = device.capture(() => {});
    graph.dispose();
    graph.dispose();
    expectError(() => graph.launch(), 'ERR_DISPOSED');
  });
});
