import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { pack, root, run, temporaryFolder } from './packed';

const esm = `import { BatchNorm, Tensor } from 'cuda-batchnorm';
const output = new BatchNorm(2).forward(Tensor.from([1, 2, 3, 4], [2, 2]));
output.read().then((values) => console.log(values.map(Math.round).join()));`;
const commonJs = esm.replace(
  "import { BatchNorm, Tensor } from 'cuda-batchnorm'",
  "const { BatchNorm, Tensor } = require('cuda-batchnorm')",
);

describe('the packed tarball, installed into an empty folder', function () {
  this.timeout('10m');
  const folder = temporaryFolder();
  const write = (file: string, text: string) => fs.writeFileSync(path.join(folder, file), text);
  const node = (...args: string[]) => run(process.execPath, args, folder);
  const tsc = (...args: string[]) => run(process.execPath, [require.resolve('typescript/bin/tsc'), '--strict', ...args], folder);

  before(() => {
    const { tarball } = pack(folder);
    write('package.json', '{ "name": "consumer", "private": true }');
    run('npm', ['install', '--no-fund', '--no-audit', tarball], folder, { CUDA_BATCHNORM_CUDA: 'OFF' });
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  it('runs from ESM', () => {
    write('program.mjs', esm);
    expect(node('program.mjs')).to.equal('-1,-1,1,1');
  });

  it('runs from CommonJS', () => {
    write('program.cjs', commonJs);
    expect(node('program.cjs')).to.equal('-1,-1,1,1');
  });

  it('type-checks and runs as ESM and as CommonJS under module nodenext', () => {
    write('typed_esm.mts', esm);
    write('typed_commonjs.cts', esm);
    tsc('--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', 'typed_esm.mts', 'typed_commonjs.cts');
    expect(node('typed_esm.mjs')).to.equal('-1,-1,1,1');
    expect(node('typed_commonjs.cjs')).to.equal('-1,-1,1,1');
  });

  it('type-checks and runs under module commonjs', () => {
    write('program.ts', esm);
    tsc('--module', 'commonjs', '--moduleResolution', 'bundler', '--target', 'es2022', '--lib', 'es2022,dom', 'program.ts');
    expect(node('program.js')).to.equal('-1,-1,1,1');
  });

  it('refuses wrong types at compile time', () => {
    write('wrong.cts', esm.replace('BatchNorm(2)', 'BatchNorm(2, { momentun: 0.1 })'));
    expect(() => tsc('--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', '--noEmit', 'wrong.cts')).to.throw('momentun');
  });

  it('says that it was built without CUDA', () => {
    const report = "console.log(require('cuda-batchnorm').Device.report().find(({ name }) => name === 'cuda').reason)";
    expect(node('-e', report)).to.include('switched off');
  });

  it('has a doctor, who knows that and misses TensorFlow.js', () => {
    const { works, auto, findings } = JSON.parse(run('npx', ['--no-install', 'cuda-batchnorm', 'doctor', '--json'], folder));
    const found = (subject: string) => findings.find((finding: { subject: string }) => finding.subject === subject);
    expect({ works, auto }).to.deep.equal({ works: true, auto: 'cpu' });
    expect(found('CUDA build').found).to.include('switched off');
    expect(found('TensorFlow.js')).to.include({ status: 'optional', found: 'not installed' });
  });

  it('brings the command line', () => {
    expect(run('npx', ['--no-install', 'cuda-batchnorm', '--help'], folder)).to.match(/cuda-batchnorm <command>/);
  });

  it('type-checks and runs the first use', () => {
    fs.copyFileSync(path.join(root, 'examples', 'first_use.mjs'), path.join(folder, 'first_use.mts'));
    tsc('--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', 'first_use.mts');
    expect(node('first_use.mjs')).to.match(/^output Float32Array\(12\)/);
  });
});
