import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import type { BackendCause } from '../../lib/addon';
import type { Finding } from '../../lib/cli/doctor/finding';
import { temporaryFolder } from '../demo/helpers';
import { describeEmulated } from '../helpers/cuda';
import { skip } from '../helpers/shared';
import { diagnosisOf, findingOf } from './helpers';

const STAND_IN = resolve(__dirname, '../../out', process.env.CUDA_BATCHNORM_VARIANT ?? '', 'cudnn');
const OTHER_VERSION = 'unsigned long cudnnGetVersion(void) { return 80907; }';

/** Each a machine of its own, made by a folder in CUDNN_HOME. */
describeEmulated('cuda-batchnorm doctor on cuDNN', () => {
  const path = temporaryFolder();

  function folder(name: string): string {
    mkdirSync(path(name));
    return path(name);
  }

  /** A library made of a line of C; skips the test where there is no C compiler. */
  function compile(test: Mocha.Context, file: string, source: string): void {
    if (spawnSync('cc', ['--version']).status !== 0) skip(test, 'there is no C compiler');
    execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', file], { input: source });
  }

  /** What is said about cuDNN; whatever it is, the rest works. */
  function findingWith(CUDNN_HOME: string): Finding {
    const diagnosis = diagnosisOf({ CUDNN_HOME });
    expect(diagnosis).to.include({ works: true, auto: 'cuda:0' });
    for (const { subject, status } of diagnosis.findings) if (subject !== 'cuDNN') expect(status, subject).to.equal('ok');
    return findingOf(diagnosis, 'cuDNN');
  }

  function expectProblem({ status, found, consequence, remedies, details }: Finding, cause: BackendCause, ...words: string[]): void {
    expect({ status, cause: details.cause }).to.deep.equal({ status: 'problem', cause });
    for (const word of words) expect(found).to.include(word);
    expect(consequence).to.include("backend: 'cudnn'");
    expect(remedies!.join('; ')).to.include('CUDNN_HOME');
  }

  it('that is not there', () => {
    const empty = folder('empty');
    expectProblem(findingWith(empty), 'not-found', empty);
  });

  it('of which only another version is there', () => {
    const old = folder('old');
    writeFileSync(join(old, 'libcudnn.so.8'), '');
    expectProblem(findingWith(old), 'other-version', join(old, 'libcudnn.so.8'), 'cuDNN 9');
  });

  it('of another version than its name says', function () {
    const misnamed = folder('misnamed');
    compile(this, join(misnamed, 'libcudnn.so.9'), OTHER_VERSION);
    expectProblem(findingWith(misnamed), 'other-version', join(misnamed, 'libcudnn.so.9'), '8.9.7', 'cuDNN 9');
  });

  it('that is no library', () => {
    const text = folder('text');
    writeFileSync(join(text, 'libcudnn.so.9'), 'not a library');
    expectProblem(findingWith(text), 'unreadable', join(text, 'libcudnn.so.9'));
  });

  it('that is another library', function () {
    const other = folder('other');
    compile(this, join(other, 'libcudnn.so.9'), 'int nothing;');
    expectProblem(findingWith(other), 'unreadable', join(other, 'libcudnn.so.9'), 'cudnnGetVersion');
  });

  it('for another processor', function () {
    const foreign = folder('foreign');
    const file = join(foreign, 'libcudnn.so.9');
    compile(this, file, OTHER_VERSION);
    const binary = readFileSync(file);
    binary.writeUInt16LE(process.arch === 'x64' ? 0xb7 : 0x3e, 18); // the ELF header's machine
    writeFileSync(file, binary);
    expectProblem(findingWith(foreign), 'unreadable', file);
  });

  it('that may not be read', function () {
    if (process.getuid?.() === 0) skip(this, 'root may read everything');
    const locked = folder('locked');
    compile(this, join(locked, 'libcudnn.so.9'), OTHER_VERSION);
    chmodSync(join(locked, 'libcudnn.so.9'), 0);
    expectProblem(findingWith(locked), 'unreadable', join(locked, 'libcudnn.so.9'));
  });

  it('that lacks a library of its own', function () {
    const lacking = folder('lacking');
    const file = join(lacking, 'libcudnn.so.9');
    compile(this, join(lacking, 'libhelper.so'), 'int help(void) { return 1; }');
    execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', file, '-L', lacking, '-Wl,--no-as-needed', '-lhelper'], {
      input: OTHER_VERSION,
    });
    expectProblem(findingWith(lacking), 'unreadable', 'libhelper.so');
  });

  it('that ends the process', function () {
    const deadly = folder('deadly');
    const last = 'write(2, "Invalid handle\\n", 15); abort();';
    compile(
      this,
      join(deadly, 'libcudnn.so.9'),
      `#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void end(void) { ${last} }`,
    );
    expectProblem(findingWith(deadly), 'failed', 'SIGABRT', 'Invalid handle');
  });

  it('where CUDA does not work', function () {
    if (!existsSync(STAND_IN)) skip(this, `there is no ${STAND_IN}`);
    const diagnosis = diagnosisOf({ CUDNN_HOME: STAND_IN, CUDA_BATCHNORM_EMULATED_DEVICES: 'old-driver' });
    const { status, details, found } = findingOf(diagnosis, 'cuDNN');
    expect({ status, cause: details.cause }).to.deep.equal({ status: 'optional', cause: 'no-cuda' });
    expect(found).to.include('too old');
  });

  it('that works', function () {
    if (!existsSync(STAND_IN)) skip(this, `there is no ${STAND_IN}`);
    const { status, found } = findingWith(STAND_IN);
    expect(status).to.equal('ok');
    expect(found)
      .to.include(join(STAND_IN, 'libcudnn.so.9'))
      .and.to.match(/cuDNN 9\.\d/);
  });
});
