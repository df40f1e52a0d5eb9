import { expect } from 'chai';
import { addon } from '../../lib/addon';
import { Device } from '../../lib/index';
import { cudaBatchnorm } from '../demo/helpers';
import { skip } from '../helpers/shared';
import { diagnosisOf, doctor, findingOf } from './helpers';

describe('cuda-batchnorm doctor', () => {
  it('finds what works in this process', () => {
    const diagnosis = diagnosisOf({});
    expect(diagnosis).to.include({ works: true, auto: Device.get().name });
    expect(findingOf(diagnosis, 'Node.js').found).to.include(process.versions.node);
    expect(findingOf(diagnosis, 'Addon')).to.deep.include({ status: 'ok' });
    expect(findingOf(diagnosis, 'Addon').details.path).to.equal(addon().path);
    expect(findingOf(diagnosis, 'CPU').found).to.include(Device.get('cpu').description);
    expect(findingOf(diagnosis, 'TensorFlow.js').found).to.equal(require('@tensorflow/tfjs/package.json').version);
  });

  it('says why CUDA does not work, in the words of the report', function () {
    const { available, cause, reason } = Device.report().find(({ name }) => name === 'cuda')!;
    if (available) skip(this, 'CUDA works here');
    const blamed = diagnosisOf({}).findings.find(({ details }) => details.cause === cause || details.reason === reason)!;
    expect(blamed.found).to.include(reason);
    expect(blamed.consequence).to.equal('Batch norm runs on the CPU.');
    expect(blamed.remedies).not.to.be.empty;
  });

  it('says what there is on a machine without a driver', function () {
    const { cause } = Device.report().find(({ name }) => name === 'cuda')!;
    if (cause !== 'no-driver')
      skip(this, `a build with CUDA on a machine without a driver is needed, and here CUDA says '${cause ?? 'ok'}'`);
    const diagnosis = diagnosisOf({});
    expect(findingOf(diagnosis, 'CUDA build')).to.include({ status: 'ok' });
    expect(findingOf(diagnosis, 'CUDA runtime').found).to.match(/^CUDA \d+\.\d/);
    expect(findingOf(diagnosis, 'NVIDIA driver').found).to.include('no NVIDIA driver was found');
    expect(findingOf(diagnosis, 'GPU').found).to.include('driver');
  });

  it('fails where there is no addon, with every place that was tried and the remedy', () => {
    const { status, stdout } = doctor({ CUDA_BATCHNORM_VARIANT: 'missing' });
    expect(status).to.equal(1);
    expect(stdout).to.match(/ !! {2}Addon .*\n.*out\/missing\/Release\/cuda_batchnorm\.node:\s+not\s+built/);
    expect(stdout)
      .to.match(/-> .*unset\s+CUDA_BATCHNORM_VARIANT/)
      .and.to.include('Batch norm does not work here');
    const diagnosis = diagnosisOf({ CUDA_BATCHNORM_VARIANT: 'missing' });
    expect(diagnosis).to.include({ works: false, auto: null });
    expect(findingOf(diagnosis, 'Addon').details.tried).to.have.length(1);
  });

  it('fails where the CPU does not work', () => {
    const diagnosis = diagnosisOf({ CUDA_BATCHNORM_ISA: 'abacus' });
    expect(diagnosis.works).to.equal(false);
    expect(findingOf(diagnosis, 'CPU')).to.include({ status: 'problem' });
    expect(findingOf(diagnosis, 'CPU').found).to.include("'abacus'");
    expect(findingOf(diagnosis, 'CPU').remedies!.join()).to.include('unset CUDA_BATCHNORM_ISA');
  });

  it('prints a page of ASCII, narrow enough for any terminal', () => {
    const { status, stdout } = doctor({});
    expect(status).to.equal(0);
    const lines = stdout.split('\n');
    expect(lines[0]).to.match(/^cuda-batchnorm \d+\.\d+\.\d+$/);
    expect(stdout)
      .to.match(/^ ok {2}CPU /m)
      .and.to.include('Batch norm works here');
    for (const line of lines) if (!/[`/]/.test(line)) expect(line).to.match(/^[\x20-\x7e]{0,80}$/);
  });

  it('has help, and is in the help of all', () => {
    const { status, stdout } = doctor({}, '--help');
    expect(status).to.equal(0);
    expect(stdout)
      .to.match(/^Usage: cuda-batchnorm doctor/)
      .and.to.include('--json');
    expect(cudaBatchnorm('--help').stdout).to.match(/^ {2}doctor /m);
  });

  for (const args of [['--jsn'], ['gpu']]) {
    it(`refuses '${args.join(' ')}' and points to the help`, () => {
      const { status, stdout, stderr } = doctor({}, ...args);
      expect({ status, stdout }).to.deep.equal({ status: 2, stdout: '' });
      expect(stderr).to.include(args[0]).and.to.include("Try 'cuda-batchnorm doctor --help'");
    });
  }
});
