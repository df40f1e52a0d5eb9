import { expect } from 'chai';
import { Random } from '../../lib/random';
import type { Dataset } from '../../lib/datasets/dataset';
import { Descent } from '../../lib/lab/network/descent';
import { Dropout } from '../../lib/lab/network/dropout';
import { CrossEntropy } from '../../lib/lab/network/loss';
import { Network, type NetworkOptions } from '../../lib/lab/network/network';
import { Recurrent } from '../../lib/lab/network/recurrent';
import { batches, type Learner, train } from '../../lib/lab/network/training';
import { addProduct, transpose } from '../../lib/lab/network/values';
import { device } from '../helpers/device';

const ROWS = 6;
const INPUTS = 5;
const CLASSES = 3;

function randomValues(length: number, random: Random): Float64Array {
  return Float64Array.from({ length }, () => random.normal());
}

function networkOf(options: Partial<NetworkOptions>): Network {
  return new Network({
    inputs: INPUTS,
    classes: CLASSES,
    depth: 2,
    units: 4,
    activation: 'tanh',
    norm: 'before',
    device: device.name,
    random: new Random(1),
    precision: 'float64',
    ...options,
  });
}

/** Two clouds of points, apart in every coordinate. */
function clouds(count: number): Dataset {
  const random = new Random(9);
  const labels = Uint8Array.from({ length: count }, (_, row) => row % 2);
  const features = Float32Array.from(
    { length: count * INPUTS },
    (_, i) => (labels[Math.floor(i / INPUTS)] === 0 ? -1 : 1) + random.normal(),
  );
  return { features, labels, count, width: INPUTS };
}

function move(network: Learner, random: Random): void {
  for (const parameter of network.parameters) {
    for (let i = 0; i < parameter.values.length; i++) parameter.values[i]! += 0.3 * random.normal();
    parameter.changed?.();
  }
}

/** All gradients of a training pass are those of finite differences, and some of them are something. */
function expectGradients(network: Learner, input: Float64Array, labels: Uint8Array): void {
  network.learn(input, labels);
  const gradients = network.parameters.map(({ gradient }) => gradient.slice());
  let greatest = 0;
  network.parameters.forEach((parameter, index) => {
    for (let i = 0; i < parameter.values.length; i++) {
      const kept = parameter.values[i]!;
      const lossAt = (value: number) => {
        parameter.values[i] = value;
        parameter.changed?.();
        return network.learn(input, labels);
      };
      const slope = (lossAt(kept + 1e-5) - lossAt(kept - 1e-5)) / 2e-5;
      lossAt(kept);
      greatest = Math.max(greatest, Math.abs(slope));
      expect(gradients[index]![i]).to.be.closeTo(slope, 1e-6);
    }
  });
  expect(greatest).to.be.greaterThan(0.01);
}

describe('the networks of the lab', () => {
  it('multiply matrices of any size, and add to what is there', () => {
    const random = new Random(2);
    for (const [rows, inner, columns] of [
      [1, 1, 1],
      [3, 4, 5],
      [2, 7, 3],
      [5, 9, 1],
    ] as const) {
      const [a, b] = [randomValues(rows * inner, random), randomValues(inner * columns, random)];
      const out = new Float64Array(rows * columns).fill(2);
      addProduct(out, a, b, rows, inner, columns);
      out.forEach((value, index) => {
        const [row, column] = [Math.floor(index / columns), index % columns];
        let sum = 2;
        for (let k = 0; k < inner; k++) sum += a[row * inner + k]! * b[k * columns + column]!;
        expect(value).to.be.closeTo(sum, 1e-12);
      });
    }
  });

  it('transpose', () => {
    expect([...transpose(new Float64Array(6), Float64Array.of(1, 2, 3, 4, 5, 6), 2, 3)]).to.deep.equal([1, 4, 2, 5, 3, 6]);
  });

  it('have the loss of softmax and cross-entropy, for large logits too', () => {
    const loss = new CrossEntropy('float64');
    expect(loss.evaluate(Float64Array.of(1, 2, 3), Uint8Array.of(0)).loss).to.be.closeTo(Math.log(1 + Math.E + Math.E ** 2), 1e-12);
    expect(loss.evaluate(Float64Array.of(1000, 0), Uint8Array.of(1)).loss).to.be.closeTo(1000, 1e-9);
    expect(loss.evaluate(Float64Array.of(Number.NaN, 0), Uint8Array.of(1)).loss).to.be.NaN;
  });

  for (const activation of ['relu', 'tanh', 'sigmoid'] as const) {
    for (const norm of ['none', 'before', 'after'] as const) {
      it(`have the gradients of finite differences: ${activation}, batch norm ${norm}`, () => {
        const random = new Random(3);
        const network = networkOf({ activation, norm });
        const input = randomValues(ROWS * INPUTS, random);
        const labels = Uint8Array.from({ length: ROWS }, (_, row) => row % CLASSES);
        // Away from the start, where γ is 1 and β is 0 everywhere.
        move(network, random);
        expectGradients(network, input, labels);
        network.dispose();
      });
    }
  }

  for (const [normalized, horizon] of [
    ['none', 1],
    ['input', 1],
    ['both', 1],
    ['both', 3],
  ] as const) {
    it(`have the gradients of finite differences through time: batch norm on ${normalized}, statistics of ${horizon} steps`, () => {
      const random = new Random(8);
      const options = { steps: 3, width: 2, units: 4, classes: CLASSES, normalized, horizon, device: device.name, random };
      const network = new Recurrent({ ...options, precision: 'float64' });
      const labels = Uint8Array.from({ length: ROWS }, (_, row) => row % CLASSES);
      move(network, random);
      expectGradients(network, randomValues(ROWS * 6, random), labels);
      network.dispose();
    });
  }

  it('are recalibrated layer by layer: in use they then give what the whole batch gives in training', async () => {
    const network = networkOf({ depth: 3, normOptions: { runningVariance: 'biased' } });
    const data = clouds(40);
    const inTraining = network.forward(data.features, data.count, true).slice();
    const far = network.forward(data.features, data.count, false).slice();
    await network.recalibrate(data);
    const inUse = network.forward(data.features, data.count, false);
    const distance = (values: ArrayLike<number>) => Math.max(...inTraining.map((value, i) => Math.abs(value - values[i]!)));
    expect(distance(far)).to.be.greaterThan(0.1);
    expect(distance(inUse)).to.be.lessThan(1e-9);
    network.dispose();
  });

  it('drop a share of the values in training, the same forth and back, and none in use', () => {
    const dropout = new Dropout(0.25, new Random(4), 'float64');
    const ones = new Float64Array(4000).fill(1);
    const output = dropout.forward(ones, 1, true).slice();
    const dropped = output.filter((value) => value === 0).length;
    expect(dropped).to.be.within(900, 1100);
    expect(output.filter((value) => value !== 0).every((value) => value === 1 / 0.75)).to.equal(true);
    expect(dropout.backward(ones)).to.deep.equal(output);
    expect(dropout.forward(ones, 1, false)).to.equal(ones);
  });

  it('descend with momentum', () => {
    const parameter = { values: Float64Array.of(1), gradient: Float64Array.of(2) };
    const descent = new Descent([parameter], 0.1, 0.5);
    descent.step();
    expect(parameter.values[0]).to.be.closeTo(1 - 0.1 * 2, 1e-12);
    descent.step();
    expect(parameter.values[0]).to.be.closeTo(1 - 0.1 * 2 - 0.1 * 3, 1e-12);
  });

  it('see every row once in a round, with what is left over left out', () => {
    const data = clouds(10);
    const source = batches(data, 4, new Random(5));
    const rounds = Array.from({ length: 4 }, () => source.next().value as Dataset);
    expect(rounds.map(({ count }) => count)).to.deep.equal([4, 4, 4, 4]);
    const keys = ({ features, count }: Dataset) => Array.from({ length: count }, (_, row) => features[row * INPUTS]!);
    expect(new Set([...keys(rounds[0]!), ...keys(rounds[1]!)]).size).to.equal(8);
    expect(keys(rounds[2]!)).to.not.deep.equal(keys(rounds[0]!));
  });

  for (const norm of ['none', 'before', 'after'] as const) {
    it(`learn two clouds, batch norm ${norm}: the same from the same seed`, () => {
      const data = clouds(200);
      const learn = () => {
        const network = networkOf({ norm, classes: 2, precision: 'float32', random: new Random(6) });
        const losses = train(network, data, { steps: 60, batchSize: 20, learningRate: 0.1, random: new Random(7) });
        const outcome = { losses, ...network.test(data) };
        network.dispose();
        return outcome;
      };
      const first = learn();
      expect(first.losses.length).to.equal(60);
      expect(first.accuracy).to.be.greaterThan(0.95);
      expect(learn()).to.deep.equal(first);
    });
  }

  it('end a training whose loss is no number any more, and are then right about nothing', () => {
    const network = networkOf({ norm: 'none', activation: 'relu', precision: 'float32', classes: 2 });
    const data = clouds(100);
    const losses = train(network, data, { steps: 500, batchSize: 20, learningRate: 1e30, random: new Random(7) });
    expect(losses.length).to.be.lessThan(500);
    expect(losses.at(-1)).to.be.NaN;
    expect(network.test(data).accuracy).to.equal(0);
    network.dispose();
  });
});
