import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { BatchNormError } from '../../lib/index';
import { batchNorm, batchNorm2d, batchNorm3d, batchNorm4d, batchNormTraining } from '../../lib/tfjs';
import { expectAllClose, expectClose, randomTensor, usePlainBackend } from './helpers';

type Five = [x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, offset: tf.Tensor, scale: tf.Tensor];
type Operation = (...args: [...Five, epsilon?: number]) => tf.Tensor;

/** x and parameters of another shape. */
function arguments_(shape: readonly number[], parameters: readonly number[]): Five {
  const variance = tf.add(tf.abs(randomTensor(parameters, 3)), 0.1);
  return [
    randomTensor(shape, 1, 2, 3),
    randomTensor(parameters, 2, 2),
    variance,
    randomTensor(parameters, 4),
    randomTensor(parameters, 5, 1),
  ];
}

function value(operation: Operation, five: Five): tf.Tensor[] {
  const weights = randomTensor(five[0].shape, 6); // so that no gradient is trivially zero
  const { value, grads } = tf.valueAndGrads((...args: tf.Tensor[]) => tf.sum(tf.mul(operation(...(args as Five), 0.01), weights)))(five);
  return [operation(...five, 0.01), value, ...grads];
}

describe('tfjs operations', () => {
  before(usePlainBackend);
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  const ranks = [
    { name: 'batchNorm2d', ours: batchNorm2d, theirs: tf.batchNorm2d, shape: [5, 3] },
    { name: 'batchNorm3d', ours: batchNorm3d, theirs: tf.batchNorm3d, shape: [2, 4, 3] },
    { name: 'batchNorm4d', ours: batchNorm4d, theirs: tf.batchNorm4d, shape: [2, 3, 4, 5] },
    { name: 'batchNorm', ours: batchNorm, theirs: tf.batchNorm, shape: [2, 3, 4, 5] },
  ] as const;
  for (const { name, ours, theirs, shape } of ranks) {
    it(`${name} has the values and the five gradients of tf.${name}`, () => {
      const five = arguments_(shape, [shape.at(-1)!]);
      expectAllClose(value(ours, five), value(theirs as unknown as Operation, five), 1e-5);
    });

    it(`${name} takes a value for each element, as tf.${name} does`, () => {
      const five = arguments_(shape, shape);
      expectAllClose(value(ours, five), value(theirs as unknown as Operation, five), 1e-5);
    });

    it(`${name} does without offset and scale, and has the same default for epsilon`, () => {
      const [x, mean, variance] = arguments_(shape, [shape.at(-1)!]);
      const reference = theirs as unknown as (...args: tf.Tensor[]) => tf.Tensor;
      expectClose(ours(x, mean, variance), reference(x, mean, variance));
      // Their gradient fails without a scale, so they are given the one that changes nothing.
      const one = tf.onesLike(mean);
      const zero = tf.zerosLike(mean);
      const gradients = (f: typeof reference) => tf.grads((...args: tf.Tensor[]) => f(...args))([x, mean, variance]);
      expectAllClose(
        gradients((x, mean, variance) => ours(x!, mean!, variance!)),
        gradients((x, mean, variance) => reference(x!, mean!, variance!, zero, one)),
        1e-5,
      );
    });
  }

  it('takes parameters of the rank of x that name the channel dimension', () => {
    const [x, ...parameters] = arguments_([2, 3, 4, 5], [3]);
    const last = (tensor: tf.Tensor) => tf.transpose(tensor, [0, 2, 3, 1]);
    const wide = parameters.map((parameter) => tf.reshape(parameter, [1, 3, 1, 1])) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const wanted = tf.batchNorm(last(x), ...(parameters as unknown as [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D, tf.Tensor1D]));
    expectClose(last(batchNorm(x, ...wide)), wanted);
  });

  it('takes nested arrays, and integers', () => {
    const wanted = tf.batchNorm2d(
      [
        [1, 2],
        [3, 4],
      ],
      [1, 2],
      [4, 9],
      [0, 1],
      [1, 2],
    );
    expectClose(
      batchNorm2d(
        [
          [1, 2],
          [3, 4],
        ],
        [1, 2],
        [4, 9],
        [0, 1],
        [1, 2],
      ),
      wanted,
    );
    expectClose(
      batchNorm2d(
        tf.tensor2d(
          [
            [1, 2],
            [3, 4],
          ],
          undefined,
          'int32',
        ),
        [1, 2],
        [4, 9],
        [0, 1],
        [1, 2],
      ),
      wanted,
    );
  });

  it('takes an empty batch', () => {
    expect(batchNorm(tf.zeros([0, 3]), [0, 0, 0], [1, 1, 1]).shape).to.deep.equal([0, 3]);
  });

  it('names what does not fit', () => {
    const x = tf.zeros([2, 3]);
    const wrong: [call: () => unknown, code: string, name: string][] = [
      [() => batchNorm4d(x, [0, 0, 0], [1, 1, 1]), 'ERR_SHAPE', 'x'],
      [() => batchNorm(x, [0, 0], [1, 1]), 'ERR_SHAPE', 'mean'],
      [() => batchNorm(x, [0, 0, 0], [1, 1]), 'ERR_SHAPE', 'variance'],
      [() => batchNorm(x, [0, 0, 0], [1, 1, 1], [1]), 'ERR_SHAPE', 'offset'],
      [() => batchNorm(x, [0, 0, 0], [1, 1, 1], null, [1]), 'ERR_SHAPE', 'scale'],
      [() => batchNorm(x, [0, 0, 0], [1, 1, 1], null, null, -1), 'ERR_INVALID_ARGUMENT', 'varianceEpsilon'],
      [() => batchNorm('x' as unknown as tf.Tensor, [0, 0, 0], [1, 1, 1]), 'ERR_DTYPE', 'x'],
      [() => batchNorm(null as unknown as tf.Tensor, [0, 0, 0], [1, 1, 1]), 'ERR_INVALID_ARGUMENT', 'x'],
      [() => batchNorm(tf.tensor(['a', 'b', 'c']), [0, 0, 0], [1, 1, 1]), 'ERR_DTYPE', 'x'],
      [() => batchNormTraining(x, { gama: x } as object), 'ERR_INVALID_ARGUMENT', 'gama'],
      [() => batchNormTraining(x, { gamma: tf.ones([2]) }), 'ERR_SHAPE', 'gamma'],
      [() => batchNormTraining(x, { axis: 2 }), 'ERR_SHAPE', 'axis'],
      [() => batchNormTraining(x, { axis: 0.5 }), 'ERR_INVALID_ARGUMENT', 'axis'],
      [() => batchNormTraining(x, { activation: 'swish' as 'silu' }), 'ERR_INVALID_ARGUMENT', 'activation'],
    ];
    for (const [call, code, name] of wrong) {
      expect(call).to.throw(BatchNormError, name).with.property('code', code);
    }
  });

  describe('batchNormTraining', () => {
    /** The same by TensorFlow.js's own operators, for any axis. */
    function composed(
      x: tf.Tensor,
      gamma: tf.Tensor,
      beta: tf.Tensor,
      axis: number,
    ): { y: tf.Tensor; mean: tf.Tensor; variance: tf.Tensor } {
      const others = x.shape.map((_, dimension) => dimension).filter((dimension) => dimension !== axis);
      const wide = x.shape.map((length, dimension) => (dimension === axis ? length : 1));
      const { mean, variance } = tf.moments(x, others, true);
      const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-3)));
      const y = tf.add(tf.mul(normal, tf.reshape(gamma, wide)), tf.reshape(beta, wide));
      return { y, mean: tf.reshape(mean, [-1]), variance: tf.reshape(variance, [-1]) };
    }

    for (const shape of [
      [6, 3],
      [4, 3, 5],
      [2, 3, 4, 5],
      [2, 2, 3, 4, 2],
    ]) {
      for (let axis = 0; axis < shape.length; axis++) {
        it(`agrees with a composition of operators: shape [${shape}], axis ${axis}`, () => {
          const x = randomTensor(shape, 1, 2, 3);
          const [gamma, beta] = [randomTensor([shape[axis]!], 2, 1), randomTensor([shape[axis]!], 3)];
          const weights = randomTensor(shape, 4);
          const ours = batchNormTraining(x, { gamma, beta, axis });
          const theirs = composed(x, gamma, beta, axis);
          expectAllClose([ours.y, ours.mean, ours.variance], [theirs.y, theirs.mean, theirs.variance], 4e-6);
          const gradients = (f: (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) => tf.Tensor) =>
            tf.grads((...args: tf.Tensor[]) => tf.mul(f(args[0]!, args[1]!, args[2]!), weights))([x, gamma, beta]);
          expectAllClose(
            gradients((x, gamma, beta) => batchNormTraining(x, { gamma, beta, axis }).y),
            gradients((x, gamma, beta) => composed(x, gamma, beta, axis).y),
            1e-5,
          );
        });
      }
    }

    it('applies an activation in the same pass, and in its gradient', () => {
      const x = randomTensor([8, 4], 1);
      const weights = randomTensor([8, 4], 2);
      const fused = (x: tf.Tensor) => tf.mul(batchNormTraining(x, { activation: 'tanh' }).y, weights);
      const apart = (x: tf.Tensor) => tf.mul(tf.tanh(batchNormTraining(x).y), weights);
      expectClose(fused(x), apart(x));
      expectClose(tf.grad(fused)(x), tf.grad(apart)(x), 1e-5);
    });

    it('trains on one value per channel, as TensorFlow.js does', () => {
      const x = randomTensor([1, 3], 1);
      const [gamma, beta] = [randomTensor([3], 2), randomTensor([3], 3)];
      const { y, mean, variance } = batchNormTraining(x, { gamma, beta });
      expectAllClose([y, mean, variance], [tf.reshape(beta, [1, 3]), tf.reshape(x, [3]), tf.zeros([3])]);
      const gradients = tf.grads((...args: tf.Tensor[]) => batchNormTraining(args[0]!, { gamma: args[1]!, beta: args[2]! }).y)([
        x,
        gamma,
        beta,
      ]);
      expectAllClose(gradients, [tf.zeros([1, 3]), tf.zeros([3]), tf.ones([3])]);
    });
  });
});
