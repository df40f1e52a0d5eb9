import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { BatchNorm, RecurrentBatchNorm, Tensor } from '../../lib/index';
import {
  batchNormPrefixes,
  loadBatchNorm,
  loadBatchNorms,
  readStateDict,
  type WritableLayer,
  writeStateDict,
} from '../../lib/interop/pytorch';
import { encodeSafetensors, readSafetensors, type SafetensorsTensor, writeSafetensors } from '../../lib/interop/safetensors';
import { temporaryFolder } from '../demo/helpers';
import { device } from '../helpers/device';
import { expectRejection } from '../helpers/failure';
import { skip } from '../helpers/shared';

const RESNET = resolve(__dirname, '../../../shared/data/resnet20/resnet20_cifar10.safetensors');

const float = (...values: number[]): SafetensorsTensor => ({ dtype: 'F32', shape: [values.length], data: Float32Array.from(values) });
const counter = (count: bigint): SafetensorsTensor => ({ dtype: 'I64', shape: [], data: BigInt64Array.of(count) });
const conv: SafetensorsTensor = { dtype: 'F32', shape: [2, 1, 1, 1], data: Float32Array.of(7, 8) };

const layer = (prefix: string): Record<string, SafetensorsTensor> => ({
  [`${prefix}weight`]: float(1, 2),
  [`${prefix}bias`]: float(3, 4),
  [`${prefix}running_mean`]: float(5, 6),
  [`${prefix}running_var`]: float(7, 8),
  [`${prefix}num_batches_tracked`]: counter(9n),
});

const bn = { ...layer('body.bn.'), 'body.conv.weight': conv };

describe('batch norms of PyTorch models', () => {
  const path = temporaryFolder();

  it('are found by their running statistics', async () => {
    const others = {
      'ln.weight': float(1),
      'ln.bias': float(1),
      'odd.running_mean': float(1),
      'odd.running_var': float(1, 2),
      'half.running_mean': float(1),
      'matrix.running_mean': conv,
      'matrix.running_var': conv,
      'bare.running_mean': float(1),
      'bare.running_var': float(1),
      xrunning_mean: float(1),
      xrunning_var: float(1),
      '.running_mean': float(1),
      '.running_var': float(1),
      'a..running_mean': float(1),
      'a..running_var': float(1),
    };
    expect(await batchNormPrefixes(encodeSafetensors({ ...bn, ...others }))).to.have.members(['body.bn', 'bare']);
    expect(await batchNormPrefixes(encodeSafetensors(layer('')))).to.deep.equal(['']);
  });

  it('are read as states for loadStateDict, by a prefix with or without its dot', async () => {
    const bytes = encodeSafetensors(bn);
    const state = await readStateDict(bytes, 'body.bn');
    expect(Object.keys(state)).to.have.members(['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']);
    expect(state.running_var).to.deep.equal({ dtype: 'float32', shape: [2], data: Float32Array.of(7, 8) });
    expect(state.num_batches_tracked).to.deep.equal({ dtype: 'int64', shape: [], data: BigInt64Array.of(9n) });
    expect(await readStateDict(bytes, 'body.bn.')).to.deep.equal(state);
    expect(await readStateDict(encodeSafetensors(layer('')))).to.deep.equal(state);
    using norm = new BatchNorm(2, { device });
    norm.loadStateDict(state);
    expect(await norm.stateDict()).to.deep.equal(state);
  });

  it('in half precision become float32', async () => {
    const half: SafetensorsTensor = { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3fc0, 0xc000) };
    const state = await readStateDict(encodeSafetensors({ weight: half, bias: { ...half, dtype: 'F16' } }));
    expect(state.weight).to.deep.equal({ dtype: 'float32', shape: [2], data: Float32Array.of(1.5, -2) });
    expect([...(state.bias!.data as Float32Array)]).to.deep.equal([1.9375, -2]);
  });

  it('become layers with what the file has, and with the given options', async () => {
    const full = await loadBatchNorm(encodeSafetensors(bn), 'body.bn', { eps: 1e-3, activation: 'relu', device });
    expect(full).to.include({ numFeatures: 2, eps: 1e-3, activation: 'relu', dtype: 'float32', numBatchesTracked: 9, training: false });
    const only = async (tensors: Record<string, SafetensorsTensor>, options = {}) => {
      using made = await loadBatchNorm(encodeSafetensors(tensors), '', { device, ...options });
      return { keys: Object.keys(await made.stateDict()), dtype: made.dtype };
    };
    expect(await only({ weight: float(1) })).to.deep.equal({ keys: ['weight'], dtype: 'float32' });
    expect(await only({ bias: float(1) }, { affine: undefined })).to.deep.equal({ keys: ['bias'], dtype: 'float32' });
    const double: SafetensorsTensor = { dtype: 'F64', shape: [1], data: Float64Array.of(0.1) };
    const statistics = ['running_mean', 'running_var', 'num_batches_tracked'];
    expect(await only({ running_mean: double, running_var: float(1) })).to.deep.equal({ keys: statistics, dtype: 'float64' });
    expect((await only({ running_mean: double, running_var: float(1) }, { dtype: 'float32' })).dtype).to.equal('float32');
  });

  it('are refused where the name or the tensors are no batch norm’s', async () => {
    const bytes = encodeSafetensors(bn);
    await expectRejection(readStateDict(bytes, 'body.bn1'), 'ERR_INVALID_ARGUMENT', "'body.bn1'", "it has 'body.bn'");
    await expectRejection(readStateDict(encodeSafetensors({})), 'ERR_INVALID_ARGUMENT', 'it has none');
    await expectRejection(readStateDict(bytes, 'body.conv'), 'ERR_SHAPE', 'body.conv.weight', '2, 1, 1, 1');
    await expectRejection(readStateDict(bytes, { prefix: 'x' } as never), 'ERR_INVALID_ARGUMENT', 'a string', 'prefix');
    await expectRejection(loadBatchNorm(bytes, undefined as never), 'ERR_INVALID_ARGUMENT', 'prefix');
    for (const options of [null, 'cpu'])
      await expectRejection(loadBatchNorm(bytes, 'body.bn', options as never), 'ERR_INVALID_ARGUMENT', 'for options');
    await expectRejection(loadBatchNorms(new ArrayBuffer(8) as never), 'ERR_INVALID_ARGUMENT', 'a Uint8Array for source');
    await expectRejection(loadBatchNorm(bytes, 'body.bn', { Eps: 1 } as never), 'ERR_INVALID_ARGUMENT', "'eps'");
    await expectRejection(
      loadBatchNorm(bytes, 'body.bn', { affine: false, device }),
      'ERR_INVALID_ARGUMENT',
      "unexpected: 'weight', 'bias'",
    );
    const wrong = (change: Record<string, SafetensorsTensor>) =>
      loadBatchNorm(encodeSafetensors({ ...layer(''), ...change }), '', { device });
    await expectRejection(wrong({ bias: float(1) }), 'ERR_SHAPE', 'bias');
    await expectRejection(wrong({ weight: { dtype: 'I32', shape: [2], data: Int32Array.of(1, 2) } }), 'ERR_DTYPE', 'I32');
    await expectRejection(wrong({ num_batches_tracked: float() }), 'ERR_DTYPE', 'num_batches_tracked');
    await expectRejection(wrong({ num_batches_tracked: counter(-1n) }), 'ERR_INVALID_ARGUMENT', 'num_batches_tracked');
    await expectRejection(
      loadBatchNorm(encodeSafetensors({ running_mean: float(1) }), '', { device }),
      'ERR_INVALID_ARGUMENT',
      "'running_var'",
    );
    await expectRejection(
      loadBatchNorm(encodeSafetensors({ num_batches_tracked: counter(1n) }), '', { device }),
      'ERR_INVALID_ARGUMENT',
      "'weight'",
    );
  });

  it('leave no memory behind where one of them cannot be made', async () => {
    const before = device.memory().live;
    const broken = encodeSafetensors({ ...layer('a.'), ...layer('b.'), 'b.num_batches_tracked': counter(-1n) });
    await expectRejection(loadBatchNorms(broken, { device }), 'ERR_INVALID_ARGUMENT', 'num_batches_tracked');
    await device.synchronize();
    expect(device.memory().live).to.equal(before);
  });

  it('are written by PyTorch’s names, and read again', async () => {
    using norm = await loadBatchNorm(encodeSafetensors(bn), 'body.bn', { device });
    const file = path('written.safetensors');
    const plain = { weight: { dtype: 'float64', shape: [1], data: [0.1] } };
    await writeStateDict(file, { 'a.bn.': norm, b: plain });
    const { tensors, metadata } = await readSafetensors(file);
    expect({ ...metadata }).to.deep.equal({ format: 'pt' });
    expect(tensors).to.deep.equal(
      new Map(Object.entries({ ...layer('a.bn.'), 'b.weight': { dtype: 'F64', shape: [1], data: Float64Array.of(0.1) } })),
    );
  });

  it('are written under any name so that it finds them again', async () => {
    const file = path('dots.safetensors');
    const names = ['', '.', '..', 'a', 'a..', 'a.b'];
    const state = (value: number) => ({ weight: { dtype: 'float32', shape: [1], data: Float32Array.of(value) } });
    await writeStateDict(file, Object.fromEntries(names.map((name, i) => [name, state(i)])));
    for (const [i, name] of names.entries()) expect(await readStateDict(file, name), name).to.deep.equal(state(i));
  });

  it('are written from the Map that loading them gives', async () => {
    const file = path('map.safetensors');
    await writeStateDict(file, await loadBatchNorms(encodeSafetensors(bn), { device }));
    expect(await batchNormPrefixes(file)).to.deep.equal(['body.bn']);
    expect(await readStateDict(file, 'body.bn')).to.deep.equal(await readStateDict(encodeSafetensors(bn), 'body.bn'));
    const wrong = new Map([[1, {}]]) as unknown as Record<string, WritableLayer>;
    await expectRejection(writeStateDict(file, wrong), 'ERR_INVALID_ARGUMENT', 'names of layers');
  });

  it('are replaced in a file of which all else stays byte for byte', async () => {
    const file = path('replaced.safetensors');
    const other: SafetensorsTensor = { dtype: 'F16', shape: [3], data: Uint16Array.of(0x7e01, 0x8000, 1) };
    await writeSafetensors(file, { ...bn, other }, { metadata: { made: 'here' } });
    using norm = await loadBatchNorm(file, 'body.bn', { device });
    norm
      .train()
      .forward(Tensor.from([1, 2, 3, 5], [2, 2], { device }))
      .dispose();
    await writeStateDict(file, { 'body.bn': norm, added: { bias: { dtype: 'float32', shape: [1], data: [4] } } }, { base: file });
    const { tensors, metadata } = await readSafetensors(file);
    expect({ ...metadata }).to.deep.equal({ made: 'here' });
    expect(tensors.get('other')).to.deep.equal(other);
    expect(tensors.get('body.conv.weight')).to.deep.equal(conv);
    expect(tensors.get('added.bias')).to.deep.equal(float(4));
    expect(tensors.get('body.bn.num_batches_tracked')).to.deep.equal(counter(10n));
    expect(tensors.get('body.bn.running_mean')!.data).to.deep.equal(await norm.runningMean!.read());
    expect(tensors.size).to.equal(8);
  });

  it('are not written where anything is wrong', async () => {
    const file = path('kept.safetensors');
    await writeSafetensors(file, bn);
    const before = readFileSync(file);
    const state = (change: object) => ({ a: { weight: { dtype: 'float32', shape: [1], data: [1], ...change } } });
    const refuse = async (layers: unknown, code: Parameters<typeof expectRejection>[1], ...words: string[]) =>
      expectRejection(writeStateDict(file, layers as Record<string, WritableLayer>, { base: file }), code, ...words);
    for (const wrong of [null, 1, [], undefined]) await refuse(wrong, 'ERR_INVALID_ARGUMENT', 'layers');
    for (const wrong of [null, 1, [], {}]) await refuse({ a: wrong }, 'ERR_INVALID_ARGUMENT', "layers['a']");
    await refuse(state({ dtype: 'float16' }), 'ERR_DTYPE', 'float16');
    await refuse(state({ shape: [1, 1] }), 'ERR_SHAPE', 'weight');
    await refuse(state({ shape: undefined }), 'ERR_SHAPE', 'weight');
    await refuse(state({ data: [1, 2] }), 'ERR_SHAPE', 'length 2');
    for (const data of [[1e39], Float64Array.of(-1e39)])
      await refuse(state({ data }), 'ERR_DTYPE', 'range of float32', "layers['a'].weight", '1e+39');
    await refuse({ a: { ...state({}).a, gamma: state({}).a.weight } }, 'ERR_INVALID_ARGUMENT', "'gamma'");
    await refuse({ 'body.bn': state({}).a }, 'ERR_SHAPE', 'body.bn.weight', '[2]');
    await refuse({ 'body.conv': state({}).a }, 'ERR_SHAPE', 'body.conv.weight', '[2, 1, 1, 1]');
    await refuse({ ...state({}), 'a.': state({}).a }, 'ERR_INVALID_ARGUMENT', 'once');
    using recurrent = new RecurrentBatchNorm(1, { horizon: 2, device });
    await refuse({ a: recurrent }, 'ERR_INVALID_ARGUMENT', "layers['a']", 'RecurrentBatchNorm');
    const error: unknown = await writeStateDict(path('none/x.safetensors'), state({})).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'ENOENT', path: path('none') });
    const disposed = new BatchNorm(1, { device });
    disposed.dispose();
    await refuse({ a: disposed }, 'ERR_DISPOSED');
    await expectRejection(writeStateDict(file, state({}), { metadata: { a: 1 } } as never), 'ERR_INVALID_ARGUMENT', 'options.metadata');
    await expectRejection(writeStateDict(file, state({}), { from: file } as never), 'ERR_INVALID_ARGUMENT', "'from'");
    expect(readFileSync(file)).to.deep.equal(before);
    expect(readdirSync(path('.')).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });

  describe('of a ResNet-20', () => {
    before(function () {
      if (!existsSync(RESNET)) skip(this, `there is no ${RESNET}`);
    });

    it('are all found and loaded', async () => {
      const layers = await loadBatchNorms(RESNET, { device });
      const blocks = [1, 2, 3].flatMap((stage) => [0, 1, 2].flatMap((block) => [1, 2].map((n) => `layer${stage}.${block}.bn${n}`)));
      expect([...layers.keys()]).to.deep.equal(['bn1', ...blocks]);
      expect([...layers.values()].map(({ numFeatures }) => numFeatures)).to.deep.equal([
        16,
        16,
        16,
        16,
        16,
        16,
        16,
        ...Array(6).fill(32),
        ...Array(6).fill(64),
      ]);
      for (const norm of layers.values()) expect(norm.numBatchesTracked).to.equal(0);
      const last = layers.get('layer3.2.bn2')!;
      const { tensors } = await readSafetensors(RESNET, { prefix: 'layer3.2.bn2.' });
      expect(await last.runningVar!.read()).to.deep.equal(tensors.get('layer3.2.bn2.running_var')!.data);
      for (const norm of layers.values()) norm.dispose();
    });

    it('are written back over themselves without a change', async () => {
      const layers = await loadBatchNorms(RESNET, { device });
      const file = path('resnet.safetensors');
      await writeStateDict(file, Object.fromEntries(layers), { base: RESNET });
      const [before, after] = [await readSafetensors(RESNET), await readSafetensors(file)];
      expect(after.metadata).to.deep.equal(before.metadata);
      for (const [name, tensor] of before.tensors) expect(after.tensors.get(name), name).to.deep.equal(tensor);
      expect(after.tensors.size).to.equal(before.tensors.size + 19); // the counters
      for (const norm of layers.values()) norm.dispose();
    });
  });
});
