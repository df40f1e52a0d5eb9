import { resolve } from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';

const FILE = resolve(__dirname, 'typings_sample.ts');

const PRELUDE = `
  import { BatchNorm, BatchNormError, type BatchNormOptions, batchNormBackward, batchNormInference, batchNormTraining, Device, type DType,
    type ErrorCode, Event, type Gradients, Graph, type Layer, Mask, type NumericArray, RecurrentBatchNorm, type StateDict, Stream, Tensor } from '../lib/index';
  declare const tensor: Tensor;
  declare const layer: BatchNorm;
  declare const device: Device;
  declare const stream: Stream;
`;

/** The compiler's complaints, by line, about programs of one line each that use the package, with the strictest options. */
function complaints(...lines: string[]): string[] {
  const options: ts.CompilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    esModuleInterop: true,
    types: ['node'],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === FILE || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === FILE
      ? ts.createSourceFile(name, PRELUDE + lines.map((line) => `{ ${line} }`).join('\n'), ts.ScriptTarget.ES2022)
      : getSourceFile(name, ...rest);
  const program = ts.createProgram([FILE], options, host);
  const diagnostics = ts.getPreEmitDiagnostics(program, program.getSourceFile(FILE));
  const found = lines.map(() => '');
  const firstLine = PRELUDE.split('\n').length - 1;
  for (const { file, start, messageText } of diagnostics) {
    const { line } = file!.getLineAndCharacterOfPosition(start!);
    found[line - firstLine] += ts.flattenDiagnosticMessageText(messageText, '\n');
  }
  return found;
}

describe('the types', function () {
  this.timeout(120_000);

  it('take what is documented', () => {
    const accepted = `
      const a: Device = Device.get(), b = Device.get('cuda:1'), c = Device.get(device);
      const all: readonly Device[] = Device.list();
      const why: string | undefined = Device.report()[0]!.reason;
      const live: number = device.memory().live;
      device.setMemoryLimit(1); device.emptyCache(); device.synchronizeSync();
      const made: Stream = device.createStream();
      using event: Event = made.record();
      made.wait(event); event.synchronize().then(() => event.elapsed(event)).then((ms: number) => ms);
      using graph: Graph = device.capture(() => { layer.forward(tensor); });
      graph.launch(); graph.launch({ stream: made });
      const twin: Tensor = Tensor.fromDLPack(tensor.toDLPack());
      Tensor.from([1], [1]); Tensor.from(new Uint8Array(1), [1] as const, { dtype: 'bfloat16', device: 'cpu', stream });
      Tensor.empty([1]); Tensor.zeros([1], { device }); Tensor.full([1], 1, { dtype: undefined });
      Tensor.fromBytes(new Uint8Array(4), [1]); Tensor.fromPointer(1n, [1], { device: 'cpu' });
      const numbers: NumericArray = [1, 2];
      tensor.write(numbers);
      const dtype: DType = tensor.dtype, shape: readonly number[] = tensor.shape, address: bigint = tensor.pointer;
      const values: Promise<Float32Array | Float64Array> = tensor.read(), now: Float32Array | Float64Array = tensor.readSync();
      const bytes: Promise<Uint8Array> = tensor.readBytes();
      const options: BatchNormOptions = { eps: 1e-5, momentum: null, affine: 'weight', trackRunningStats: true, runningVariance: 'biased',
        axis: -1, activation: 'leakyRelu', dtype: 'float64', device: 'auto', backend: 'native', inPlace: true,
        renorm: { rMax: 3, dMax: 5 }, virtualBatchSize: 8 };
      layer.renorm = null; layer.recalibrate([tensor], { stream }).then(() => {});
      using steps = new RecurrentBatchNorm(3, { horizon: 4, momentum: null });
      steps.backward(steps.forward(tensor, 0), 0, { stream }).input.dispose();
      const means: readonly Tensor[] | null = steps.runningMean;
      const layers: Layer[] = [layer, steps];
      using made2 = new BatchNorm(3, options);
      using moved = tensor.to('cpu');
      const output: Tensor = layer.train().eval().train(false).forward(tensor, { residual: tensor, out: tensor, stream, saveForBackward: true });
      const gradients: Gradients = layer.backward(output, { stream });
      const dx: Tensor = gradients.input, dw: Tensor | null = gradients.weight, dr: Tensor | undefined = gradients.residual;
      const state: Promise<StateDict> = layer.stateDict();
      state.then((loaded) => layer.loadStateDict(loaded, { strict: false }));
      layer.loadStateDict({ weight: { dtype: 'float32', shape: [1], data: [1] } });
      const { statistics, mask } = batchNormTraining(tensor, { weight: layer.weight, bias: null, runningMean: layer.runningMean, momentum: 1 });
      const again: Mask | null = mask;
      const y: Tensor = batchNormInference(tensor, tensor, tensor, { eps: 1e-3 });
      batchNormBackward(y, tensor, { statistics, mask: again, residual: tensor });
      try { layer.forward(tensor); } catch (error) {
        if (error instanceof BatchNormError) { const code: ErrorCode = error.code; const name: 'BatchNormError' = error.name; }
      }
    `;
    expect(complaints(accepted.replaceAll('\n', ' '))).to.deep.equal(['']);
  });

  it('refuse the rest', () => {
    const refused: [program: string, complaint: RegExp][] = [
      ['Tensor.from([[1]], [1]);', /not assignable/],
      ["Tensor.from(['1'], [1]);", /not assignable/],
      ['Tensor.from(new BigInt64Array(1), [1]);', /not assignable/],
      ["Tensor.zeros([1], { dtype: 'int8' });", /not assignable/],
      ["Tensor.zeros([1], { dtpye: 'float32' });", /does not exist|may only specify known/],
      ['Tensor.fromPointer(1n, [1], {});', /device/],
      ['Tensor.fromPointer(1, [1], { device });', /bigint/],
      ['new Tensor();', /private/],
      ['new Stream();', /private/],
      ['new Device();', /private/],
      ['new Event();', /private/],
      ['new Graph();', /private/],
      ['new Layer(3);', /cannot be used as a value/],
      ['stream.wait(stream);', /not assignable/],
      ['Tensor.fromDLPack(1);', /bigint/],
      ['tensor.shape.push(1);', /does not exist/],
      ["tensor.dtype = 'float64';", /read-only/],
      ['layer.weight = null;', /read-only/],
      ['layer.training = true;', /read-only/],
      ['new BatchNorm(3, { epsilon: 1 });', /epsilon/],
      ["new BatchNorm(3, { dtype: 'float16' });", /not assignable/],
      ["new BatchNorm(3, { activation: 'swish' });", /not assignable/],
      ['layer.forward(tensor, { residuals: tensor });', /residual/],
      ['batchNormTraining(tensor, { momentum: null });', /not assignable/],
      ['batchNormInference(tensor);', /arguments/],
      ['layer.forward(tensor).storage;', /does not exist/],
    ];
    const found = complaints(...refused.map(([program]) => program));
    for (const [i, [program, complaint]] of refused.entries()) expect(found[i], program).to.match(complaint);
  });
});
