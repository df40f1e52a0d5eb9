import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNorm, BatchNormError, batchNormBackward, batchNormInference, batchNormTraining, Device, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { settle } from './helpers/garbage';
import { secondDevice } from './helpers/second_device';

const CODES = [
  'ERR_INVALID_ARGUMENT',
  'ERR_SHAPE',
  'ERR_DTYPE',
  'ERR_DEVICE_MISMATCH',
  'ERR_DEVICE_UNAVAILABLE',
  'ERR_OUT_OF_MEMORY',
  'ERR_DISPOSED',
  'ERR_STATE',
  'ERR_CUDNN',
];
const cudnnWorks = device.type === 'cuda' && Device.report().some(({ name, available }) => name === 'cudnn' && available);
const RUNS = 500;
const LIMIT = 2 ** 26;

/** How often each call returned, and with which codes it refused. */
const outcomes = new Map<string, Map<string, number>>();

async function outcomeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'done';
  } catch (error) {
    if (!(error instanceof BatchNormError)) throw error;
    expect(CODES).to.include(error.code);
    expect(error.message).to.match(/^Expected |^(Device|Backend) .* is not available: |^cudnn\w+ failed with CUDNN_STATUS_/);
    expect(error.message.length).to.be.lessThan(1000);
    return error.code;
  }
}

describe('whatever is given', function () {
  this.timeout(300_000);
  const { limit } = device.memory();

  const disposed = Tensor.zeros([2, 3], { device });
  const gone = new BatchNorm(3, { device });
  const elsewhere = Tensor.zeros([2, 3], { device: secondDevice() });
  const residual = Tensor.zeros([2, 3], { device });
  const { mask, statistics } = batchNormTraining(Tensor.from([1, 2, 3, 4, 5, 6], [2, 3], { device }), { residual, activation: 'relu' });
  const tensors = [
    ...(['float32', 'float32', 'float64', 'float16', 'bfloat16'] as const).map((dtype) => Tensor.full([2, 3], 1, { device, dtype })),
    ...[[3], [1], [], [0, 3], [2, 0], [3, 3], [2, 3, 4], [2, 4, 3], [1, 3], [3, 2]].map((shape) => Tensor.full(shape, 2, { device })),
    Tensor.zeros([3], { device, dtype: 'float64' }),
    statistics,
    disposed,
    elsewhere,
  ];

  let liveBefore = 0;

  before(async () => {
    disposed.dispose();
    gone.dispose();
    await settle(); // other files' tensors are not to be collected, or counted, among these
    liveBefore = device.memory().live;
    device.setMemoryLimit(LIMIT);
  });

  after(() => {
    device.setMemoryLimit(limit);
    for (const tensor of tensors) tensor.dispose();
  });

  const rare = fc.constantFrom<unknown>(
    ...[
      Number.NaN,
      Number.POSITIVE_INFINITY,
      -0,
      -1,
      0.5,
      2 ** 31,
      2 ** 32,
      2 ** 53,
      1e308,
      2n ** 64n,
      '3',
      '',
      null,
      undefined,
      Symbol('s'),
    ],
    ...[
      {},
      [],
      [[]],
      [[1, 2, 3]],
      new Array(3),
      () => 1,
      new Proxy({}, {}),
      Object.create(Tensor.prototype),
      Object.create(BatchNorm.prototype),
    ],
    ...[new BigInt64Array(3), new SharedArrayBuffer(8), new DataView(new ArrayBuffer(8)), gone, device, device.createStream(), mask],
  );
  const anything = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withNullPrototype: true,
        withSparseArray: true,
        withTypedArray: true,
      }),
    },
    { weight: 3, arbitrary: rare },
    { weight: 2, arbitrary: fc.constantFrom(...tensors) },
  );
  const mostly = <T>(arbitrary: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 25, arbitrary: arbitrary as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: anything });

  /** Often the one that fits, so that the arguments after it are looked at too. */
  const likely = <T>(fitting: T, others: readonly T[]) =>
    mostly(fc.oneof({ weight: 12, arbitrary: fc.constant(fitting) }, { weight: 1, arbitrary: fc.constantFrom(...others) }));
  const tensor = likely(tensors[0], tensors);
  const output = likely(tensors[1], tensors);
  const vector = likely(Tensor.full([3], 1, { device }), tensors);
  const dimension = mostly(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom(2 ** 20, 2 ** 31, 2 ** 40, 2 ** 53 - 1)));
  const shape = mostly(fc.oneof(fc.constant([2, 3]), fc.array(dimension, { maxLength: 4 })));
  const data = mostly(
    fc.oneof(
      fc.array(mostly(fc.double()), { maxLength: 12 }),
      fc.constantFrom([1, 2, 3, 4, 5, 6], new Float64Array(6), new Uint8Array(24)),
      fc.float32Array({ maxLength: 12 }),
      fc.uint8Array({ maxLength: 48 }),
      fc.uint16Array({ maxLength: 12 }),
    ),
  );
  const bytes = mostly(fc.oneof(fc.constant(new Uint8Array(24)), data));
  const dtype = mostly(fc.constantFrom('float32', 'float64', 'float16', 'bfloat16'));
  const place = likely<unknown>(device, [device.name, 'auto', 'cuda', 'cuda:0', 'cuda:9999', elsewhere.device]);
  const stream = likely(device.createStream(), [undefined, elsewhere.device.createStream()]);
  const flag = mostly(fc.boolean());
  const activation = mostly(fc.constantFrom('identity', 'relu', 'leakyRelu', 'elu', 'sigmoid', 'tanh', 'silu', 'gelu'));

  /** Any subset of the options; now and then one that does not exist, or no object at all. */
  const options = (known: Record<string, fc.Arbitrary<unknown>>) =>
    mostly(
      fc.oneof(
        { weight: 9, arbitrary: fc.record(known, { requiredKeys: [] }) },
        { weight: 1, arbitrary: fc.record({ ...known, other: anything }, { requiredKeys: [] }) },
      ),
    );

  const tensorOptions = options({ dtype, device: place, stream });
  const forwardOptions = options({ residual: tensor, out: output, stream, saveForBackward: flag });
  const common = {
    weight: vector,
    bias: vector,
    eps: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
    axis: likely(1, [-3, -2, -1, 0, 2, 3]),
    activation,
    backend: likely('native', ['cudnn', 'cudnn:spatial']),
    inPlace: likely(false, [true]),
    stream,
  };
  const layerOptions = options({
    eps: common.eps,
    momentum: mostly(fc.oneof(fc.double({ min: -1, max: 2, noNaN: true }), fc.constant(null))),
    affine: mostly(fc.constantFrom(true, false, 'weight', 'bias')),
    trackRunningStats: flag,
    runningVariance: mostly(fc.constantFrom('biased', 'unbiased')),
    axis: common.axis,
    activation,
    dtype: mostly(fc.constantFrom('float32', 'float64')),
    device: place,
    backend: common.backend,
    inPlace: common.inPlace,
  });
  const entry = mostly(
    fc.record({ dtype: mostly(fc.constant('float32')), shape: mostly(fc.constant([3])), data: mostly(fc.constant(new Float32Array(3))) }),
  );
  const state = mostly(
    fc.record(
      { weight: entry, bias: entry, running_mean: entry, running_var: entry, num_batches_tracked: entry },
      { requiredKeys: ['weight'] },
    ),
  );

  const calls: Record<string, [arguments_: fc.Arbitrary<unknown>[], call: (...values: never[]) => unknown]> = {
    'Device.get': [[place], (name) => Device.get(name)],
    'device.setMemoryLimit': [
      [anything],
      (bytes) => {
        try {
          device.setMemoryLimit(bytes);
        } finally {
          device.setMemoryLimit(LIMIT);
        }
      },
    ],
    'Tensor.from': [[data, shape, tensorOptions], (...values: [never, never]) => use(Tensor.from(...values))],
    'Tensor.fromBytes': [[bytes, shape, tensorOptions], (...values: [never, never]) => use(Tensor.fromBytes(...values))],
    'Tensor.empty': [[shape, tensorOptions], (...values: [never]) => use(Tensor.empty(...values))],
    'Tensor.zeros': [[shape, tensorOptions], (...values: [never]) => use(Tensor.zeros(...values))],
    'Tensor.full': [[shape, mostly(fc.double()), tensorOptions], (...values: [never, never]) => use(Tensor.full(...values))],
    'Tensor.fromPointer': [
      [mostly(fc.bigInt({ min: 0n, max: 2n ** 64n })), shape, options({ dtype, device: place })],
      (...values: [never, never, never]) => Tensor.fromPointer(...values).dispose(),
    ],
    'tensor.write': [[fc.constantFrom(...tensors), data], (target: Tensor, values) => target.write(values)],
    'tensor.to': [[fc.constantFrom(...tensors), place], (source: Tensor, target) => use(source.to(target))],
    'tensor.read': [[fc.constantFrom(...tensors)], (source: Tensor) => source.read()],
    'tensor.readSync': [[fc.constantFrom(...tensors)], (source: Tensor) => source.readSync()],
    'tensor.readBytes': [[fc.constantFrom(...tensors)], (source: Tensor) => source.readBytes()],
    'tensor.pointer': [[fc.constantFrom(...tensors)], (source: Tensor) => source.pointer],
    'new BatchNorm': [[mostly(fc.integer({ min: 1, max: 5 })), layerOptions], (...values: [never]) => new BatchNorm(...values).dispose()],
    'layer.train': [[flag], (mode) => new BatchNorm(3, { device }).train(mode).dispose()],
    'layer.forward': [
      [layerOptions, flag, tensor, forwardOptions],
      (made, mode, ...values: [never]) => withLayer(made, mode, (layer) => use(layer.forward(...values))),
    ],
    'layer.backward': [
      [layerOptions, flag, tensor, forwardOptions, tensor, options({ stream })],
      (made, mode, input, forward, ...values: [never]) =>
        withLayer(made, mode, (layer) => {
          use(layer.forward(input, forward));
          dispose(layer.backward(...values));
        }),
    ],
    'layer.loadStateDict': [
      [layerOptions, state, options({ strict: flag })],
      (made, ...values: [never]) => withLayer(made, true as never, (layer) => layer.loadStateDict(...values)),
    ],
    'a disposed layer': [[tensor], (input) => [gone.forward(input), gone.backward(input)]],
    batchNormTraining: [
      [
        tensor,
        options({
          ...common,
          residual: tensor,
          out: output,
          saveForBackward: flag,
          runningMean: vector,
          runningVar: vector,
          momentum: mostly(fc.double()),
          runningVariance: mostly(fc.constantFrom('biased', 'unbiased')),
        }),
      ],
      (...values: [never]) => dispose({ ...batchNormTraining(...values) }),
    ],
    batchNormInference: [
      [tensor, vector, vector, options({ ...common, residual: tensor, out: output })],
      (...values: [never, never, never]) => use(batchNormInference(...values)),
    ],
    batchNormBackward: [
      [
        tensor,
        tensor,
        fc.oneof(
          options({ ...common, statistics: likely(statistics, tensors), mask: likely(null, [mask]), residual: tensor }),
          options({ ...common, mean: vector, variance: vector, residual: tensor }),
          options({ ...common, statistics: vector, mean: vector, variance: vector }),
        ),
      ],
      (...values: [never, never, never]) => dispose({ ...batchNormBackward(...values) }),
    ],
  };

  function withLayer(made: never, mode: never, run: (layer: BatchNorm) => void): void {
    const layer = new BatchNorm(3, made);
    try {
      run(layer.train(mode));
    } finally {
      layer.dispose();
    }
  }

  function use(result: Tensor): void {
    if (!tensors.includes(result)) result.dispose();
  }

  function dispose(results: object): void {
    for (const result of Object.values(results) as (Tensor | null)[]) if (result !== null) use(result);
  }

  for (const [name, [arguments_, call]] of Object.entries(calls)) {
    it(`${name} works or throws a BatchNormError with a code`, async () => {
      const seen = new Map<string, number>();
      outcomes.set(name, seen);
      const property = fc.asyncProperty(fc.tuple(...arguments_), async (values) => {
        const outcome = await outcomeOf(() => call(...(values as never[])));
        await device.synchronize(); // the next call may use the same tensors on another stream
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      });
      await fc.assert(property, { numRuns: RUNS });
    });
  }

  it('was enough to see calls succeed, and every code', () => {
    const total = (key: string) => [...outcomes.values()].reduce((sum, seen) => sum + (seen.get(key) ?? 0), 0);
    for (const key of ['done', ...CODES]) {
      if (key === 'ERR_CUDNN' && !cudnnWorks) continue; // of its own, where there is one
      expect(total(key), key).to.be.at.least(1);
    }
    outcomes.delete('a disposed layer');
    for (const [name, seen] of outcomes) expect(seen.get('done') ?? 0, name).to.be.at.least(1);
  });

  it('leaves the library working, and no memory behind', async () => {
    await settle();
    const layer = new BatchNorm(1, { device });
    const output = layer.forward(Tensor.from([1, 3], [2, 1], { device }));
    expect([...(await output.read())].map(Math.round)).to.deep.equal([-1, 1]);
    expect(device.memory().live - liveBefore).to.be.lessThan(2 ** 20);
  });
});
