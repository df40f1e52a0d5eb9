/** The bytes that kernels move are those the plan predicts, in whole sectors: counted by the emulator on all sizes of ResNet-50. */

import { expect } from 'chai';
import { ACTIVATION_CODES, DTYPE_CODES, type KernelLaunch } from '../../lib/addon';
import { nativeDevice } from '../../lib/device';
import { batchNormBackward, batchNormInference, batchNormTraining, type DType, Tensor } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { emulator, type KernelCounters } from '../helpers/emulator';
import { skip, withShared } from '../helpers/shared';

const OPERATIONS = ['trainingForward', 'inferenceForward', 'backward'] as const;
type Operation = (typeof OPERATIONS)[number];
const BYTES = { float32: 4, bfloat16: 2 };
type CountedType = keyof typeof BYTES;

interface Shapes {
  shapes: { shapes_resnet_50: { active: { shape_nc_spatial: [number, number, number, number] }[] } };
}

const SECTOR = 32;
/** Pictures; 32 or 256 take minutes on the emulator, and show the same. */
const BATCH = Number(process.env.CUDA_BATCHNORM_COUNTED_BATCH ?? 2);
/** A channel fits where so many blocks have room for it, with so many bytes each. */
const [CLUSTER, ROOM] = [8, 200 * 1024];
/** Other plans than that of an H200 move what they say, but more. */
const OWN_CHOICE = !process.env.CUDA_BATCHNORM_PLAN && !process.env.CUDA_BATCHNORM_EMULATED_GPU;
const FORCED = 'another plan is forced, or another GPU played';
/** Per channel: three are saved, two read and written; what counts where there are few pictures. */
const STATISTICS_BYTES = 7 * 4;
/** Data that has a variance; its values do not matter. */
const pattern = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => (i % 1021) / 512 - 1);

describeEmulated('the bytes that kernels move', function () {
  this.timeout(600_000);
  before(() => emulator.startCounting());
  after(() => emulator.stopCounting());

  withShared<Shapes>('shapes/bnorm_shapes.json', ({ shapes }) => {
    for (const {
      shape_nc_spatial: [, channels, height, width],
    } of shapes.shapes_resnet_50.active) {
      for (const dtype of ['float32', 'bfloat16'] as const) {
        describeProblem([BATCH, channels, height, width], 1, dtype);
        describeProblem([BATCH, height, width, channels], -1, dtype);
      }
    }
  });
});

function describeProblem(shape: readonly number[], axis: 1 | -1, dtype: CountedType): void {
  describe(`of [${shape}], channels ${axis === 1 ? 'first' : 'last'}, ${dtype}`, () => {
    let counted: Record<Operation, KernelCounters[]>;
    before(async () => {
      counted = await countAll(shape, axis, dtype);
    });

    it('are those of the plan', () => {
      for (const operation of OPERATIONS) expectPlanned(counted[operation], planOf(operation, shape, axis, dtype), operation);
    });

    if (axis === 1) {
      it('are each tensor once, where a cluster has room for a channel', function () {
        const channelBytes = bytesOf(shape, dtype) / shape[1]!;
        const fits = (tensors: number) => Math.ceil((tensors * channelBytes) / ROOM) <= CLUSTER;
        if (!OWN_CHOICE) skip(this, FORCED);
        if (!fits(1)) skip(this, 'a channel has no room');
        const ofChannels = (shape[1]! * STATISTICS_BYTES) / bytesOf(shape, dtype);
        expect(tensorsMoved(counted.trainingForward, shape, dtype), 'training forward').to.be.within(2, 2.05 + ofChannels);
        expect(tensorsMoved(counted.inferenceForward, shape, dtype), 'inference').to.equal(2);
        if (fits(2)) expect(tensorsMoved(counted.backward, shape, dtype), 'backward').to.be.within(3, 3.05 + ofChannels);
      });
    }

    // Where runs of a channel, or rows of all channels, begin in the middle of a sector, it is shared with the one before.
    if ((runLength(shape, axis) * BYTES[dtype]) % SECTOR === 0) {
      it('are whole sectors', function () {
        if (!OWN_CHOICE) skip(this, FORCED);
        for (const operation of OPERATIONS) expectCoalesced(counted[operation], operation);
      });
    }
  });
}

const bytesOf = (shape: readonly number[], dtype: CountedType): number => shape.reduce((product, size) => product * size, BYTES[dtype]);

function tensorsMoved(counters: readonly KernelCounters[], shape: readonly number[], dtype: CountedType): number {
  return counters.reduce((sum, { loadBytes, storeBytes }) => sum + loadBytes + storeBytes, 0) / bytesOf(shape, dtype);
}

function runLength(shape: readonly number[], axis: 1 | -1): number {
  return axis === 1 ? shape[2]! * shape[3]! : shape[3]!;
}

async function countAll(shape: readonly number[], axis: 1 | -1, dtype: DType): Promise<Record<Operation, KernelCounters[]>> {
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
  return { trainingForward: training.counters, inferenceForward: inference.counters, backward: backward.counters };
}

/** What the kernels of one call move. */
async function counted<T>(call: () => T): Promise<{ result: T; counters: KernelCounters[] }> {
  await device.synchronize();
  emulator.takeCounters();
  const result = call();
  await device.synchronize();
  return { result, counters: emulator.takeCounters() };
}

function planOf(operation: Operation, shape: readonly number[], axis: 1 | -1, dtype: DType): KernelLaunch[] {
  const channels = shape.at(axis)!;
  const outer = axis === 1 ? shape[0]! : shape[0]! * shape[1]! * shape[2]!;
  const inner = axis === 1 ? shape[2]! * shape[3]! : 1;
  const [training, backward] = [operation === 'trainingForward', operation === 'backward'];
  const given = { running: training, gradWeight: backward, gradBias: backward };
  const { identity } = ACTIVATION_CODES;
  return nativeDevice(device).native.explain(operation, outer, channels, inner, DTYPE_CODES[dtype], DTYPE_CODES.float32, identity, given);
}

/** Without namespace and template arguments. */
const plainName = (kernel: string): string => kernel.replace(/<.*$/, '').replace(/^.*::/, '');

/** Kernel by kernel, as often as planned. */
function expectPlanned(counters: readonly KernelCounters[], plan: readonly KernelLaunch[], operation: string): void {
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

/** Every sector that the operation moves is used whole, but for one in twenty: what is kept per channel is little, and lies apart. */
function expectCoalesced(counters: readonly KernelCounters[], operation: string): void {
  const sum = (count: (kernel: KernelCounters) => number): number => counters.reduce((total, kernel) => total + count(kernel), 0);
  const [loaded, stored] = [sum(({ loadBytes }) => loadBytes), sum(({ storeBytes }) => storeBytes)];
  expect(sum(({ loadSectors }) => loadSectors) * SECTOR, `${operation}: sectors read`).to.be.within(loaded * 0.95, loaded * 1.05);
  expect(sum(({ storeSectors }) => storeSectors) * SECTOR, `${operation}: sectors written`).to.be.within(stored * 0.95, stored * 1.05);
}
