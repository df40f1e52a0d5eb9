import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect } from 'chai';
import { addon, loadAddon, remedy } from '../lib/addon';
import manifest from '../package.json';
import { expectError } from './helpers/failure';
import { skip } from './helpers/shared';

const LIB = resolve(__dirname, '../lib/index.ts');
const OLDEST_NODE = manifest.engines.node.replace('>=', '');

describe('the loader', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'cuda-batchnorm-'));
  });

  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  function place(folder: string, content: string | Buffer): string {
    const file = join(root, folder, 'cuda_batchnorm.node');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  it('lists every place it tried, and says how to build', () => {
    expectError(
      () => loadAddon(root, 'release'),
      'ERR_ADDON',
      `${join(root, 'out/release/Release/cuda_batchnorm.node')}: not built`,
      `${join(root, 'build/Release/cuda_batchnorm.node')}: not built`,
      'npm rebuild cuda-batchnorm',
    );
  });

  it('reports a damaged file by its own reason and goes on to the next place', () => {
    const file = place('out/release/Release', 'not an addon');
    expectError(() => loadAddon(root, 'release'), 'ERR_ADDON', file, 'build/Release', 'another processor or system, or is damaged');
  });

  it('recognizes an addon built for another processor', function () {
    if (process.platform !== 'linux') skip(this, 'only the header of Linux binaries is known here');
    const binary = readFileSync(addon().path);
    binary.writeUInt16LE(process.arch === 'x64' ? 0xb7 : 0x3e, 18); // the ELF header's machine
    place('build/Release', binary);
    expectError(() => loadAddon(root, 'release'), 'ERR_ADDON', 'another processor or system');
  });

  it('takes no other variant than the one asked for', () => {
    expectError(() => loadAddon(root, 'tsan'), 'ERR_ADDON', 'out/tsan/Release', "build the variant 'tsan'");
    expect(() => loadAddon(root, 'tsan'))
      .to.throw()
      .with.property('message')
      .that.does.not.include('build/Release');
  });

  it('fits its advice to the cause', () => {
    const advice = (message: string) => remedy([`/a/cuda_batchnorm.node: ${message}`, '/b/cuda_batchnorm.node: not built'], 'release');
    expect(advice("/lib/libc.so.6: version `GLIBC_2.38' not found")).to.include('other system libraries');
    expect(advice("/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found")).to.include('other system libraries');
    expect(advice('undefined symbol: napi_something')).to.include('other system libraries');
    expect(advice('wrong ELF class: ELFCLASS32')).to.include('another processor');
    expect(advice('\\\\?\\x.node is not a valid Win32 application.')).to.include('another processor');
    expect(advice('was compiled against a different Node.js version using NODE_MODULE_VERSION 115')).to.include(
      `Node.js ${OLDEST_NODE} or newer`,
    );
    expect(advice('libfoo.so.1: cannot open shared object file: No such file or directory')).to.include('a library it needs is missing');
    expect(advice('something else')).to.include('npm run build');
  });

  describe('where the addon cannot be loaded', () => {
    const run = (program: string) =>
      execFileSync(process.execPath, ['--import', 'tsx', '-e', `const lib = require(${JSON.stringify(LIB)});${program}`], {
        env: { ...process.env, CUDA_BATCHNORM_VARIANT: 'missing' },
        encoding: 'utf8',
      });

    it('importing works, and the report says why nothing else does', () => {
      const [cpu] = JSON.parse(run('console.log(JSON.stringify(lib.Device.report()))'));
      expect(cpu).to.include({ name: 'cpu', available: false });
      expect(cpu.reason).to.include("build the variant 'missing'");
    });

    it('first use throws ERR_ADDON', () => {
      expect(run('try { new lib.BatchNorm(2) } catch (error) { console.log(error.name, error.code) }')).to.equal(
        'BatchNormError ERR_ADDON\n',
      );
    });
  });
});
