import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { expect } from 'chai';
import { run } from '../../lib/cli/fold';
import { parseOptions } from '../../lib/cli/fold/options';
import { choosePairs, layersOf, parsePattern } from '../../lib/cli/fold/pairs';
import { describe as describeResult } from '../../lib/cli/fold/text';
import { UsageError } from '../../lib/cli/usage';
import { halfBits, halfValues } from '../../lib/interop/half';
import { readSafetensors, type SafetensorsTensor, writeSafetensors } from '../../lib/interop/safetensors';
import { cudaBatchnorm, temporaryFolder } from '../demo/helpers';
import { expectRejection } from '../helpers/failure';

const float = (shape: number[], ...values: number[]): SafetensorsTensor => ({ dtype: 'F32', shape, data: Float32Array.from(values) });
const half = (dtype: 'F16' | 'BF16', shape: number[], ...values: number[]): SafetensorsTensor => {
  return { dtype, shape, data: halfBits(values, dtype === 'F16' ? 'float16' : 'bfloat16') };
};

/** With eps 0.25 these scale by 2 and 4, and shift by −1 and 1 beside the bias. */
const norm = (prefix: string): Record<string, SafetensorsTensor> => ({
  [`${prefix}.weight`]: float([2], 2, 8),
  [`${prefix}.bias`]: float([2], 1, 5),
  [`${prefix}.running_mean`]: float([2], 1, 1),
  [`${prefix}.running_var`]: float([2], 0.75, 3.75),
  [`${prefix}.num_batches_tracked`]: { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) },
});

const conv = float([2, 1, 1, 2], 1, 2, 3, 4);
const other: SafetensorsTensor = { dtype: 'F16', shape: [2], data: Uint16Array.of(0x7e01, 1) };

describe('the fold command', () => {
  const path = temporaryFolder();
  const input = path('model.safetensors');
  const out = path('out.safetensors');

  async function fold(tensors: Record<string, SafetensorsTensor>, ...args: string[]) {
    await writeSafetensors(input, tensors, { metadata: { format: 'pt' } });
    const before = readFileSync(input);
    const { status, stdout, stderr } = cudaBatchnorm('fold', input, '--eps', '0.25', '--out', out, ...args);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    expect(readFileSync(input)).to.deep.equal(before);
    return { stdout, ...(await readSafetensors(out)) };
  }

  /** In this process, for it is done in no time and prints nothing. */
  async function refusal(...args: string[]): Promise<string> {
    const error = await failure(...args);
    if (!(error instanceof UsageError)) throw error;
    return error.message;
  }

  async function failure(...args: string[]): Promise<Error> {
    return run(args).then(
      () => expect.fail(`${args.join(' ')} was not refused`),
      (thrown: Error) => thrown,
    );
  }

  /** As where the system fails after so many calls of this method of open files. */
  async function failing<T>(method: 'read' | 'write', calls: number, code: string, action: () => Promise<T>): Promise<T> {
    const some = await open(input);
    const handles = Object.getPrototypeOf(some) as FileHandle;
    await some.close();
    const sound = handles[method] as (...args: unknown[]) => Promise<unknown>;
    let left = calls;
    const broken = async function (this: FileHandle, ...args: unknown[]) {
      if (left-- > 0) return sound.apply(this, args);
      throw Object.assign(new Error(`${code}: something is wrong, ${method}`), { code, syscall: method });
    };
    Object.assign(handles, { [method]: broken });
    try {
      return await action();
    } finally {
      Object.assign(handles, { [method]: sound });
    }
  }

  it('gives a layer the batch norm’s work, with a bias, and leaves all else as it was', async () => {
    const { tensors, metadata, stdout } = await fold(
      { 'conv1.weight': conv, ...norm('bn1'), 'conv2.weight': conv, ...norm('bn2'), other },
      '--pairs',
      'conv1=bn1',
    );
    expect({ ...metadata }).to.deep.equal({ format: 'pt' });
    const { 'conv2.weight': untouched, ...kept } = { 'conv2.weight': conv, ...norm('bn2'), other };
    expect(Object.fromEntries(tensors)).to.deep.equal({
      'conv1.weight': float([2, 1, 1, 2], 2, 4, 12, 16),
      'conv1.bias': float([2], -1, 1),
      'conv2.weight': untouched,
      ...kept,
    });
    expect(stdout)
      .to.match(/conv1 +\[2, 1, 1, 2\] +F32 +bn1\n/)
      .and.contain('Batch norms that remain: bn2.');
  });

  it('folds into a bias that is there, along any axis, in every precision, and prints JSON', async () => {
    const { tensors, stdout } = await fold(
      {
        'a.weight': half('F16', [1, 2], 1, 0.3),
        'a.bias': half('BF16', [2], 3, 3),
        ...norm('a_bn'),
        'b.weight': { dtype: 'F64', shape: [2, 2], data: Float64Array.of(0.1, 0.2, 0.3, 0.4) },
        ...norm('b_bn'),
      },
      ...['--pairs', '*=*_bn', '--output-axis=-1', '--json'],
    );
    const third = halfValues(halfBits([0.3], 'float16'), 'float16')[0]!;
    expect(tensors.get('a.weight')).to.deep.equal(half('F16', [1, 2], 2, 4 * third));
    expect(tensors.get('a.bias')).to.deep.equal(half('BF16', [2], 5, 13));
    expect(tensors.get('b.weight')!.data).to.deep.equal(Float64Array.of(0.2, 0.8, 0.6, 1.6));
    expect(tensors.get('b.bias')).to.deep.equal({ dtype: 'F64', shape: [2], data: Float64Array.of(-1, 1) });
    expect(tensors.size).to.equal(4);
    expect(JSON.parse(stdout)).to.deep.equal({
      input,
      output: out,
      folded: [
        { layer: 'b', batchNorm: 'b_bn', shape: [2, 2], dtype: 'F64' },
        { layer: 'a', batchNorm: 'a_bn', shape: [1, 2], dtype: 'F16' },
      ],
      remaining: [],
    });
  });

  it('prints no control characters of names that a file has', () => {
    const text = describeResult({
      input,
      output: out,
      folded: [{ layer: 'a\u001b[2J', batchNorm: 'b', shape: [1], dtype: 'F32' }],
      remaining: ['c\n'],
    });
    expect(text).to.contain('a?[2J').and.contain('remain: c?.');
  });

  it('prints none in an error either', async () => {
    await writeSafetensors(input, { 'a\u001b[2J.weight': float([3, 1], 1, 2, 3), ...norm('b\u001b[2J') });
    const { status, stderr } = cudaBatchnorm('fold', input, '--pairs', 'a*=b*');
    expect(status).to.equal(1);
    expect(stderr).to.match(/^cuda-batchnorm: Expected batch norm 'b\?\[2J' to fit layer 'a\?\[2J' but .*\n$/);
  });

  it('is among the commands, and describes its options', () => {
    expect(cudaBatchnorm('--help').stdout).to.contain('fold ');
    const { status, stdout } = cudaBatchnorm('fold', '--help');
    expect(status).to.equal(0);
    for (const option of ['pairs', 'out', 'eps', 'output-axis', 'json']) expect(stdout).to.contain(`--${option}`);
    const wrong = cudaBatchnorm('fold', path('none.safetensors'), '--pairs', 'a=b');
    expect(wrong.status).to.equal(2);
    expect(wrong.stderr)
      .to.contain(`cannot read '${path('none.safetensors')}': ENOENT`)
      .and.contain("Try 'cuda-batchnorm fold --help'.");
  });

  it('has defaults, and takes what is given', () => {
    expect(parseOptions(['x/model.safetensors'])).to.deep.equal({
      input: 'x/model.safetensors',
      out: 'x/model.folded.safetensors',
      patterns: [],
      eps: 1e-5,
      outputAxis: 0,
      json: false,
    });
    const given = ['m', '--out', 'o', '--eps', '1e-3', '--output-axis=-1', '--json', '--pairs', 'a=b', '--pairs', 'c.*=d.*'];
    expect(parseOptions(given)).to.deep.include({ out: 'o', eps: 1e-3, outputAxis: -1, json: true });
    expect(parseOptions(given)!.patterns.map(({ layer, batchNorm }) => [layer, batchNorm])).to.deep.equal([
      ['a', 'b'],
      ['c.*', 'd.*'],
    ]);
    expect(parseOptions(['-h'])).to.equal(undefined);
  });

  it('lets a star stand for the same on both sides', () => {
    const layers = ['conv1', 'a.conv1', 'a.conv2', 'b.c.conv1', 'b.c.conv3', 'a+conv1', 'head'];
    const norms = ['bn1', 'a.bn1', 'a.bn2', 'b.c.bn1', 'axbn1'];
    const choose = (...patterns: string[]) =>
      choosePairs(patterns.map(parsePattern), layers, norms).map(({ layer, batchNorm }) => `${layer}=${batchNorm}`);
    expect(choose('conv1=bn1')).to.deep.equal(['conv1=bn1']);
    expect(choose('*.conv1=*.bn1')).to.deep.equal(['a.conv1=a.bn1', 'b.c.conv1=b.c.bn1']);
    expect(choose('*.conv*=*.bn*')).to.deep.equal(['a.conv1=a.bn1', 'a.conv2=a.bn2', 'b.c.conv1=b.c.bn1']);
    expect(choose('*conv1=*bn1', 'conv1=bn1')).to.deep.equal(['conv1=bn1', 'a.conv1=a.bn1', 'b.c.conv1=b.c.bn1']);
    expect(choose('head=bn1')).to.deep.equal(['head=bn1']);
    expect(() => choose('a.conv*=b.bn*')).to.throw(UsageError, "--pairs 'a.conv*=b.bn*' fits no layer");
    expect(() => choose('conv1=bn1', 'head=bn1')).to.throw(UsageError, "batch norm 'bn1' would be folded twice, into 'conv1' and 'head'");
    expect(() => choose('conv1=bn1', 'conv1=a.bn1')).to.throw(
      UsageError,
      "layer 'conv1' would have two batch norms folded into it: 'bn1' and 'a.bn1'",
    );
  });

  it('keeps stars apart where there are several, and fits what a regular expression fits', () => {
    const names = ['', 'a', 'b'].flatMap((one) => ['', 'a', 'b'].flatMap((two) => ['', 'a', 'b', 'ab'].map((rest) => one + two + rest)));
    const chosen = (pattern: string, layer: string, norm: string) => {
      try {
        return choosePairs([parsePattern(pattern)], [layer], [norm]).length === 1;
      } catch (error) {
        if (error instanceof UsageError) return false;
        throw error;
      }
    };
    const wanted = (pattern: string, layer: string, norm: string) => {
      const [left, right] = pattern.split('=').map((side) => side.split('*'));
      const repeated = right!.reduce((before, literal, star) => `${before}(?:\\${star})${literal}`);
      return new RegExp(`^${left!.join('(.*)')}=${repeated}$`).test(`${layer}=${norm}`);
    };
    for (const pattern of ['ab=ba', '*=*', 'a*=*b', 'a*a=b*b', 'ab*b=a*', '**=*a*', '*a*=*b*', 'a*b*=*a*', '*b*b*=*a**', '**ab=*a*b']) {
      let count = 0;
      for (const layer of names) {
        for (const norm of names) {
          const found = chosen(pattern, layer, norm);
          if (found) count += 1;
          expect(found, `${pattern}: ${layer} and ${norm}`).to.equal(wanted(pattern, layer, norm));
        }
      }
      expect(count, pattern).to.be.greaterThan(0);
    }
    const [layers, norms] = [
      ['a.conv.x', 'ab.conv.y', 'a.conv.y'],
      ['norm_a_x', 'norm_a_y', 'norm_ab_y', 'norm_ab_yz'],
    ];
    const pairs = choosePairs([parsePattern('*.conv.*=norm_*_*')], layers, norms);
    expect(pairs.map(({ batchNorm }) => batchNorm)).to.deep.equal(['norm_a_x', 'norm_ab_y', 'norm_a_y']);
  });

  it('finds the pairs of a model with very many layers', () => {
    const count = 40_000;
    const info = (shape: number[]) => ({ dtype: 'F32' as const, shape, byteLength: 4 });
    const names = Array.from({ length: count }, (_, index) => `block${index}`);
    const norms = names.map((name) => `${name}.bn1`);
    const tensors = new Map([
      ...names.map((name) => [`${name}.conv1.weight`, info([1, 1])] as const),
      ...norms.map((name) => [`${name}.weight`, info([1, 1])] as const),
    ]);
    const layers = layersOf(tensors, norms);
    expect(layers).to.have.length(count);
    const pairs = choosePairs([parsePattern('*.conv1=*.bn1')], layers, norms);
    expect(pairs).to.have.length(count);
    expect(pairs.at(-1)).to.deep.equal({ layer: `block${count - 1}.conv1`, batchNorm: `block${count - 1}.bn1` });
  });

  it('looks through stars by the dozen in no time', () => {
    const name = 'a'.repeat(200);
    const stars = '*a'.repeat(30);
    expect(choosePairs([parsePattern(`${stars}x=${stars}y`)], [`${name}x`], [`${name}y`])).to.have.length(1);
    expect(() => choosePairs([parsePattern(`${stars}x=${stars}y`)], [`${name}x`], [`${name}z`])).to.throw(UsageError, 'fits no layer');
    expect(() => choosePairs([parsePattern(`${stars}x=${stars}y`)], [`${name}x`], [`${name}ay`])).to.throw(UsageError, 'fits no layer');
  });

  it('refuses a wrong call in words, and writes nothing', async () => {
    await writeSafetensors(input, { 'conv1.weight': conv, ...norm('bn1') });
    const before = readFileSync(input);
    const target = path('refused.safetensors');
    const call = (...args: string[]) => refusal(input, '--out', target, ...args);
    expect(await refusal()).to.contain('the file of a model');
    expect(await refusal(input, 'b', '--pairs', 'a=b')).to.contain(`one file but received '${input}', 'b'`);
    expect(await call())
      .to.contain('expected --pairs')
      .and.contain('Its layers: conv1. Its batch norms: bn1');
    expect(await call('--pair', 'a=b')).to.contain("'--pair'");
    for (const pair of ['', 'conv1', '=bn1', 'conv1=', 'conv1=bn1=x']) expect(await call('--pairs', pair)).to.contain(`received '${pair}'`);
    expect(await call('--pairs', '*.conv1=bn1')).to.contain('as many *');
    expect(await call('--pairs', 'conv2=bn1'))
      .to.contain("'conv2=bn1' fits no layer")
      .and.contain('Layers: conv1. Batch norms: bn1');
    for (const eps of ['-1', 'x', '', 'NaN', 'Infinity']) expect(await call('--pairs', 'conv1=bn1', `--eps=${eps}`)).to.contain('--eps');
    for (const axis of ['x', '', '0.5']) expect(await call('--pairs', 'conv1=bn1', `--output-axis=${axis}`)).to.contain('--output-axis');
    expect(await call('--pairs', 'conv1=bn1', '--output-axis', '-1')).to.match(/^[^\n]*'--output-axis=-XYZ'[^\n]*$/);
    expect(await refusal(path('none'), '--pairs', 'conv1=bn1')).to.equal(
      `cannot read '${path('none')}': ENOENT: no such file or directory`,
    );
    expect(await refusal(input, '--pairs', 'conv1=bn1', '--out', input)).to.contain('is the model itself');
    expect(await refusal(input, '--pairs', 'conv1=bn1', '--out', path('none/x'))).to.equal(
      `cannot write '${path('none/x')}': ENOENT: no such file or directory`,
    );
    expect(readFileSync(input)).to.deep.equal(before);
    expect(existsSync(target)).to.equal(false);
  });

  it('has failed where the system fails, which is no wrong call, and names the file', async () => {
    await writeSafetensors(input, { 'conv1.weight': conv, ...norm('bn1') });
    const target = path('refused.safetensors');
    const args = [input, '--pairs', 'conv1=bn1', '--out', target];
    const full = await failing('write', 1, 'ENOSPC', () => failure(...args));
    expect(full).to.not.be.instanceOf(UsageError);
    expect(full.message).to.equal(`cannot write '${target}': ENOSPC: something is wrong`);
    const header = 2; // read() calls; those that follow read tensors, while the other file is written
    const lost = await failing('read', header, 'EIO', () => failure(...args));
    expect(lost).to.not.be.instanceOf(UsageError);
    expect(lost.message).to.equal(`cannot read '${input}': EIO: something is wrong`);
    expect(readdirSync(path('.')).filter((name) => name.endsWith('.tmp') || name.startsWith('refused'))).to.deep.equal([]);
  });

  it('refuses a model that does not fit, in words, and writes nothing', async () => {
    const target = path('refused.safetensors');
    const refuse = async (tensors: Record<string, SafetensorsTensor>, code: Parameters<typeof expectRejection>[1], ...words: string[]) => {
      await writeSafetensors(input, { 'conv1.weight': conv, ...norm('bn1'), ...tensors });
      await expectRejection(run([input, '--out', target, '--eps', '0', '--pairs', 'conv1=bn1']), code, ...words);
    };
    await refuse({ 'conv1.weight': float([3, 1], 1, 2, 3) }, 'ERR_SHAPE', "'bn1'", "'conv1'", '2 channels', '[3, 1]');
    await refuse({ 'conv1.bias': float([1], 1) }, 'ERR_SHAPE', 'bias', '[1]');
    await expectRejection(run([input, '--pairs', 'conv1=bn1', '--output-axis=9']), 'ERR_SHAPE', "--output-axis and layer 'conv1'", '9');
    await refuse({ 'conv1.weight': { dtype: 'I32', shape: [2, 1], data: Int32Array.of(1, 2) } }, 'ERR_DTYPE', "'conv1'", 'weight');
    await refuse({ 'bn1.running_var': float([2], 1, 0) }, 'ERR_INVALID_ARGUMENT', 'running_var[1]');
    await refuse({ 'conv1.weight': half('F16', [2, 1], 1, 60000) }, 'ERR_DTYPE', 'float16', 'conv1.weight');
    writeFileSync(input, 'PK\x03\x04 and so on and so on');
    await expectRejection(run([input, '--pairs', 'conv1=bn1']), 'ERR_INVALID_ARGUMENT', 'safetensors.torch.save_file');
    expect(readdirSync(path('.')).filter((name) => !['model.safetensors', 'out.safetensors'].includes(name))).to.deep.equal([]);
  });
});
