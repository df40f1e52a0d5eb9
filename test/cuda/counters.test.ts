/** The bytes that kernels move are those the plan predicts, in whole sectors: counted by the emulator on all sizes of ResNet-50. */

import { expect } from 'chai';
import { ACTIVATION_CODES, DTYPE_CODES } from '../../lib/addon';
import { batchNormBackward, batchNormInference, batchNormTraining, type DType, Tensor } from '../../lib/index';
import { nativeDevice } from '../../lib/device';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { emulator, type KernelCounters } from '../helpers/emulator';
import { skip, withShared } from '../helpers/shared';

type Operation = 'trainingForward' | 'inferenceForward' | 'backward';

/** One launch, as the plan has it. */
interface Launch {
  kernel: string;
  grid: number;
  block: number;
  sharedBytes: number;
  bytesRead: number;
  bytesWritten: number;
}

interface Explaining {
  explain?(
    operation: Operation,
    outer: number,
    channels: number,
    inner: number,
    dtype: number,
    parameterDtype: number,
    activation: number,
    given: Readonly<Record<string, boolean>>,
  ): Launch[];
}

interface Shapes {
  shapes: { shapes_resnet_50: { active: { shape_nc_spatial: [number, number, number, number] }[] } };
}

const SECTOR = 32;
/** Data that has a variance; its values do not matter. */
const pattern = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => (i % 1021) / 512 - 1);

describeEmulated('the bytes that kernels move', function () {
  this.timeout(600_000);
  const explaining = nativeDevice(device).native as Explaining;

  before(function () {
    if (!explaining.explain) skip(this, 'the plan does not explain itself yet');
  });

  withShared<Shapes>('shapes/bnorm_shapes.json', ({ shapes }) => {
    for (const {
      shape_nc_spatial: [, channels, height, width],
    } of shapes.shapes_resnet_50.active) {
      for (const layout of ['channels first', 'channels last'] as const) {
        for (const dtype of ['float32', 'bfloat16'] as const) {
          const first = layout === 'channels first';
          const shape = first ? [2, channels, height, width] : [2, height, width, channels];
          it(`[${shape}], ${layout}, ${dtype}: as planned, in whole sectors`, async () => {
            await expectAsPlanned(shape, first ? 1 : -1, dtype);
          });
        }
      }
    }
  });

  async function expectAsPlanned(shape: readonly number[], axis: number, dtype: DType): Promise<void> {
    const channels = shape.at(axis)!;
    const count = shape.reduce((product, size) => product * size, 1);
    const vector = () => Tensor.full([channels], 1, { device });
    using input = Tensor.from(pattern(count), shape, { device, dtype });
    using gradient = Tensor.from(pattern(count), shape, { device, dtype });
    using out = Tensor.empty(shape, { device, dtype });
    using weight = vector();
    using bias = vector();
    using runningMean = vector();
    using runningVar = vector();
    const common = { weight, bias, axis };

    const training = await counted(() => batchNormTraining(input, { ...common, runningMean, runningVar, out }));
    using statistics = training.result.statistics;
    const inference = await counted(() => batchNormInference(input, runningMean, runningVar, { ...common, out }));
    const backward = await counted(() => batchNormBackward(gradient, input, { ...common, statistics }));
    for (const made of [backward.result.input, backward.result.weight, backward.result.bias]) made?.dispose();

    for (const [operation, { counters }] of Object.entries({ trainingForward: training, inferenceForward: inference, backward })) {
      const plan = planOf(operation as Operation, shape, axis, dtype);
      expectPlanned(counters, plan, operation);
      const aligned = (axis === 1 ? count / channels / shape[0]! : channels) % (16 / (input.byteLength / count)) === 0;
      if (aligned) expectCoalesced(counters, operation);
    }
  }

  function planOf(operation: Operation, shape: readonly number[], axis: number, dtype: DType): Launch[] {
    const [outer, channels, inner] =
      axis === 1 ? [shape[0]!, shape[1]!, shape[2]! * shape[3]!] : [shape[0]! * shape[1]! * shape[2]!, shape[3]!, 1];
    const [training, backward] = [operation === 'trainingForward', operation === 'backward'];
    const given = { weight: true, bias: true, running: training, gradWeight: backward, gradBias: backward };
    return explaining.explain!(
      operation,
      outer,
      channels,
      inner,
      DTYPE_CODES[dtype],
      DTYPE_CODES.float32,
      ACTIVATION_CODES.identity,
      given,
    );
  }
});

async function counted<T>(call: () => T): Promise<{ result: T; counters: KernelCounters[] }> {
  await device.synchronize();
  emulator.startCounting();
  const result = call();
  await device.synchronize();
  return { result, counters: emulator.takeCounters() };
}

/** Without namespace and template arguments. */
const plainName = (kernel: string): string => kernel.replace(/<.*$/, '').replace(/^.*::/, '');

/** Kernel by kernel, as often as planned. */
function expectPlanned(counters: readonly KernelCounters[], plan: readonly Launch[], operation: string): void {
  const planned = new Map<string, { launches: number; loadBytes: number; storeBytes: number }>();
  for (const { kernel, bytesRead, bytesWritten } of plan) {
    const sum = planned.get(kernel) ?? { launches: 0, loadBytes: 0, storeBytes: 0 };
    planned.set(kernel, { launches: sum.launches + 1, loadBytes: sum.loadBytes + bytesRead, storeBytes: sum.storeBytes + bytesWritten });
  }
  const seen = new Map(
    counters.map(({ kernel, launches, loadBytes, storeBytes }) => [plainName(kernel), { launches, loadBytes, storeBytes }]),
  );
  expect(Object.fromEntries(seen), operation).to.deep.equal(Object.fromEntries(planned));
}

/** Every sector that is moved is used whole, but for one in twenty. */
function expectCoalesced(counters: readonly KernelCounters[], operation: string): void {
  for (const { kernel, loadBytes, storeBytes, loadSectors, storeSectors } of counters) {
    expect(loadSectors * SECTOR, `${operation}: sectors read by ${kernel}`).to.be.within(loadBytes * 0.95, loadBytes * 1.05);
    expect(storeSectors * SECTOR, `${operation}: sectors written by ${kernel}`).to.be.within(storeBytes * 0.95, storeBytes * 1.05);
  }
}
