import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { expect } from 'chai';
import { headers, pack, root, run, temporaryFolder } from './packed';

describe('node-gyp', function () {
  this.timeout('10m');
  const folder = temporaryFolder();
  const copy = path.join(folder, 'package');
  after(() => fs.rmSync(folder, { recursive: true }));

  it('builds the same addon from the packed files, and it computes', function () {
    const prefix = headers(this);
    run('tar', ['-xzf', pack(folder).tarball, '-C', folder], folder);
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    // What is built is asked here, not how fast it is: optimized it takes twice the time.
    const unoptimized = { CXXFLAGS: '-O0' };
    run(process.execPath, [require.resolve('node-gyp/bin/node-gyp.js'), 'rebuild', `--nodedir=${prefix}`, '--jobs=max'], copy, unoptimized);

    const addon = path.join('build', 'Release', 'cuda_batchnorm.node');
    const names = (file: string) => Object.keys(createRequire(__filename)(file)).sort();
    expect(names(path.join(copy, addon))).to.deep.equal(names(path.join(root, 'out', 'release', 'Release', 'cuda_batchnorm.node')));

    const program = `
      const { BatchNorm, Tensor } = require('./');
      new BatchNorm(2).forward(Tensor.from([1, 2, 3, 4], [2, 2])).read().then((values) => console.log(values.map(Math.round).join()));`;
    expect(run(process.execPath, ['-e', program], copy)).to.equal('-1,-1,1,1');

    const { works, findings } = JSON.parse(run(process.execPath, [path.join('dist', 'lib', 'cli', 'main.js'), 'doctor', '--json'], copy));
    const found = (subject: string) => findings.find((finding: { subject: string }) => finding.subject === subject);
    expect(works).to.equal(true);
    expect(found('Addon').details.path).to.equal(fs.realpathSync(path.join(copy, addon)));
    expect(found('CUDA build').found).to.include('node-gyp leaves CUDA out');
    expect(found('CUDA build').remedies.join()).to.include('npm rebuild cuda-batchnorm');
    for (const subject of ['CUDA runtime', 'GPU']) expect(found(subject).found).to.match(/^not asked: this build/);

    const report = "console.log(require('./').Device.report().find(({ name }) => name === 'cuda').reason)";
    expect(run(process.execPath, ['-e', report], copy)).to.include('node-gyp leaves CUDA out');
  });
});
