import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { headers, root, run, temporaryFolder } from './packed';

// The real scripts, in a package whose builds are over at once.
describe('the install script', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
    for (const script of ['install.js', 'build_native.js'])
      fs.cpSync(path.join(root, 'scripts', script), path.join(folder, 'scripts', script));
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    write('package.json', '{ "name": "consumer", "binary": { "napi_versions": [8] } }');
    write('binding.gyp', '{ "targets": [{ "target_name": "nothing", "type": "none" }] }');
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  const write = (file: string, text: string) => fs.writeFileSync(path.join(folder, file), text);
  const install = (env = {}) => run(process.execPath, [path.join('scripts', 'install.js')], folder, env);
  const fails = 'cmake_minimum_required(VERSION 3.18)\nproject(consumer NONE)\nmessage(FATAL_ERROR broken)\n';
  const failsWithCuda = fails.replace('message', 'set(CMAKE_CUDA_COMPILER /opt/nvcc CACHE FILEPATH "")\nmessage');

  it('takes node-gyp where CMake fails', function () {
    headers(this);
    write('CMakeLists.txt', fails);
    install();
    expect(fs.existsSync(path.join(folder, 'build'))).to.equal(true);
  });

  it('does not leave CUDA out on its own account, and says how to', function () {
    headers(this);
    write('CMakeLists.txt', failsWithCuda);
    expect(() => install()).to.throw(/node-gyp: not tried.*\/opt\/nvcc.*CUDA_BATCHNORM_CUDA=OFF/s);
    expect(fs.existsSync(path.join(folder, 'build'))).to.equal(false);
    install({ CUDA_BATCHNORM_CUDA: 'OFF' });
    expect(fs.existsSync(path.join(folder, 'build'))).to.equal(true);
  });
});
