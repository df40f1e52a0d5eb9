import { expect } from 'chai';
import type { BackendCause } from '../../lib/addon';
import { diagnose } from '../../lib/cli/doctor/diagnosis';
import { type Facts, kernelDriverIn } from '../../lib/cli/doctor/facts';
import type { Status } from '../../lib/cli/doctor/finding';
import { find, HEALTHY, reason, withoutCuda, withoutCudnn } from './machines';

const SUBJECTS = ['Node.js', 'Addon', 'CPU', 'CUDA build', 'CUDA runtime', 'NVIDIA driver', 'GPU', 'cuDNN', 'TensorFlow.js'];
const UNLOADED = { failure: { message: 'all of it', tried: ['/a/x.node: not built', '/b/x.node: damaged'], remedy: 'build it.' } };
const NO_ADDON: Facts = {
  ...HEALTHY,
  kernelDriver: undefined,
  addon: UNLOADED,
  cpu: UNLOADED,
  cuda: UNLOADED,
  gpus: UNLOADED,
  auto: UNLOADED,
  cudnn: UNLOADED,
};

describe('the diagnosis', () => {
  it('of a healthy machine finds everything well', () => {
    const { works, auto, findings, version } = diagnose(HEALTHY);
    expect({ works, auto, version }).to.deep.equal({ works: true, auto: 'cuda:0', version: '1.2.3' });
    expect(findings.map(({ status }) => status)).to.deep.equal(SUBJECTS.map(() => 'ok'));
    expect(find(HEALTHY, 'NVIDIA driver').found).to.include('CUDA 13.0').and.to.include('580.65.06');
    expect(find(HEALTHY, 'CUDA runtime').found).to.match(/^CUDA 12\.8,/);
    expect(find(HEALTHY, 'GPU cuda:0').found).to.include('NVIDIA H200, compute capability 9.0, 139 GiB');
    expect(find(HEALTHY, 'cuDNN').found).to.include('9.24.0').and.to.include('/usr/lib/libcudnn.so.9');
  });

  const obstacles: [cause: BackendCause, subject: string, bare: Status, onGpuMachine: Status, remedy: RegExp][] = [
    ['not-built', 'CUDA build', 'optional', 'problem', /nvcc.*npm rebuild cuda-batchnorm/],
    ['no-driver', 'NVIDIA driver', 'optional', 'problem', /install its driver/],
    ['driver-too-old', 'NVIDIA driver', 'problem', 'problem', /^Update the driver.*CUDACXX/],
    ['no-device', 'GPU', 'optional', 'problem', /nvidia-smi -L/],
    ['device-too-old', 'GPU', 'problem', 'problem', /newer GPU/],
    ['failed', 'CUDA runtime', 'problem', 'problem', /nvidia-smi/],
  ];
  for (const [cause, subject, bare, onGpuMachine, remedy] of obstacles) {
    it(`tells CUDA's cause '${cause}' under '${subject}', with the reason, and blames nothing else`, () => {
      const facts = withoutCuda(cause);
      const { status, found, consequence, remedies } = find(facts, subject);
      expect({ status, consequence }).to.deep.equal({ status: bare, consequence: 'Batch norm runs on the CPU.' });
      expect(found).to.equal(reason(cause));
      expect(remedies!.join('; ')).to.match(remedy);
      expect(find({ ...facts, nvidiaCards: 1 }, subject).status).to.equal(onGpuMachine);

      const { works, auto, findings } = diagnose(facts);
      expect({ works, auto }).to.deep.equal({ works: true, auto: 'cpu' });
      expect(findings.map((finding) => finding.subject)).to.deep.equal(SUBJECTS);
      for (const other of findings) if (other.subject !== subject) expect(other.status, other.subject).not.to.equal('problem');
    });
  }

  it('tells a driver whose library is missing from one that is not installed', () => {
    const { status, found, remedies } = find(withoutCuda('no-driver', { kernelDriver: '535.104.05' }), 'NVIDIA driver');
    expect(status).to.equal('problem');
    expect(found).to.include('535.104.05');
    expect(remedies!.join('; ')).to.match(/docker run --gpus all.*libcuda\.so\.1/);
  });

  it('suspects the variable that hides GPUs', () => {
    const { status, remedies } = find(withoutCuda('no-device', { environment: { CUDA_VISIBLE_DEVICES: '' } }), 'GPU');
    expect(status).to.equal('problem');
    expect(remedies![0]).to.include("CUDA_VISIBLE_DEVICES is ''");
  });

  it('lists several GPUs, those that fail too', () => {
    const failure = 'Device cuda:1 is not available: taken';
    const facts: Facts = { ...HEALTHY, gpus: { value: [...HEALTHY.gpus.value!, { name: 'cuda:1', failure }] } };
    expect(find(facts, 'GPU cuda:0').status).to.equal('ok');
    expect(find(facts, 'GPU cuda:1')).to.include({ status: 'problem', found: failure });
  });

  it("says so where 'auto' does not work and the CPU does", () => {
    expect(diagnose({ ...HEALTHY, auto: { failure: { message: 'out of memory' } } })).to.include({ works: true, auto: null });
  });

  const cudnn: [cause: BackendCause, status: Status, remedy: RegExp][] = [
    ['not-found', 'optional', /pip install nvidia-cudnn-cu13/],
    ['other-version', 'problem', /pip install nvidia-cudnn-cu13/],
    ['unreadable', 'problem', /^See `ldd FILE`.*pip install/],
    ['failed', 'problem', /^See `ldd FILE`.*pip install/],
    ['no-cuda', 'optional', /^$/],
    ['not-built', 'optional', /^$/],
  ];
  for (const [cause, status, remedy] of cudnn) {
    it(`tells cuDNN's cause '${cause}', and what it matters`, () => {
      const finding = find(withoutCudnn(cause), 'cuDNN');
      expect(finding.status).to.equal(status);
      expect(finding.found).to.equal(reason(cause));
      expect(finding.consequence).to.include("backend: 'cudnn'");
      expect((finding.remedies ?? []).join('; ')).to.match(remedy);
      expect(finding.details).to.include({ cause, reason: reason(cause) });
    });
  }

  it('asks for a cuDNN of the CUDA that the driver knows, or else of the runtime', () => {
    const version = 'CUDA 13.0, driver for CUDA 12.2';
    const older: Facts = { ...withoutCudnn('not-found'), cuda: { value: { name: 'cuda', available: true, version } } };
    expect(find(older, 'cuDNN').remedies![0]).to.include('nvidia-cudnn-cu12');
    const driverless = withoutCuda('no-driver', { cudnn: withoutCudnn('not-found').cudnn }, 'CUDA 13.0');
    expect(find(driverless, 'cuDNN').remedies![0]).to.include('nvidia-cudnn-cu13');
  });

  it('takes a folder in CUDNN_HOME without cuDNN for a mistake', () => {
    const { status, remedies } = find(withoutCudnn('not-found', { environment: { CUDNN_HOME: '/opt/cudnn' } }), 'cuDNN');
    expect(status).to.equal('problem');
    expect(remedies!.join('; ')).to.include('unset CUDNN_HOME');
  });

  it('says what was tried where the addon cannot be loaded, and that nothing works', () => {
    const { works, auto, findings } = diagnose(NO_ADDON);
    expect({ works, auto }).to.deep.equal({ works: false, auto: null });
    const { status, found, remedies, consequence, details } = find(NO_ADDON, 'Addon');
    expect(status).to.equal('problem');
    expect(found.split('\n').slice(1)).to.deep.equal(UNLOADED.failure.tried);
    expect(remedies).to.deep.equal(['build it.']);
    expect(consequence).to.equal('Batch norm does not work here.');
    expect(details.tried).to.deep.equal(UNLOADED.failure.tried);
    expect(findings.map(({ subject }) => subject)).to.deep.equal(SUBJECTS);
    for (const { subject, found } of findings.slice(2, -1)) expect(found, subject).to.equal('not asked: the addon could not be loaded');
    expect(find({ ...NO_ADDON, kernelDriver: '580.65.06' }, 'NVIDIA driver').found).to.include('580.65.06');
  });

  it('points to the setting that keeps the CPU from working', () => {
    const message = "Expected one of avx2, baseline for the environment variable CUDA_BATCHNORM_ISA but received 'foo'";
    const facts = withoutCuda('addon', { cpu: { failure: { message } }, auto: { failure: { message } } });
    const { status, found, remedies } = find(facts, 'CPU');
    expect({ status, found }).to.deep.equal({ status: 'problem', found: message });
    expect(remedies).to.deep.equal(['Correct CUDA_BATCHNORM_ISA, or `unset CUDA_BATCHNORM_ISA`']);
    expect(diagnose(facts)).to.include({ works: false, auto: null });
    expect(find(facts, 'GPU').found).to.match(/^not asked: .*CPU/);
  });

  it('takes the end of the process that asked for a failure of what was asked', () => {
    const failure = { message: 'the process that tried it ended by SIGSEGV' };
    expect(find({ ...HEALTHY, addon: { failure } }, 'Addon')).to.include({ status: 'problem', found: failure.message });
    expect(find({ ...HEALTHY, cpu: { failure } }, 'CPU')).to.include({ status: 'problem', found: failure.message });
    expect(find({ ...HEALTHY, cuda: { failure } }, 'CUDA runtime')).to.include({ status: 'problem', found: failure.message });
    expect(find({ ...HEALTHY, gpus: { failure } }, 'GPU')).to.include({ status: 'problem', found: failure.message });
    expect(find({ ...HEALTHY, cudnn: { failure } }, 'cuDNN')).to.include({ status: 'problem', found: failure.message });
  });

  it('compares the version of Node.js with what the package needs', () => {
    const status = (version: string, platform = 'linux') =>
      find({ ...HEALTHY, node: { ...HEALTHY.node, version, platform } }, 'Node.js').status;
    for (const version of ['20.17.0', '20.20.1', '21.0.0', '100.1.0']) expect(status(version), version).to.equal('ok');
    for (const version of ['20.16.9', '18.20.0', '9.99.0']) expect(status(version), version).to.equal('problem');
    expect(status('22.0.0', 'win32')).to.equal('problem');
  });

  it('compares the version of TensorFlow.js with the one that is needed', () => {
    const tensorflow = (value: string | null) => find({ ...HEALTHY, tensorflow: { value } }, 'TensorFlow.js');
    expect(tensorflow('4.0.0').status).to.equal('ok');
    expect(tensorflow('3.21.0')).to.include({ status: 'problem', found: '3.21.0, and ^4.0.0 is needed' });
    expect(tensorflow(null)).to.include({ status: 'optional', found: 'not installed' });
    expect(tensorflow(null).remedies).to.deep.equal(['Install it: `npm install @tensorflow/tfjs@4`']);
    const broken = find({ ...HEALTHY, tensorflow: { failure: { message: 'Unexpected token' } } }, 'TensorFlow.js');
    expect(broken.status).to.equal('problem');
    expect(broken.found).to.include('Unexpected token');
  });

  it('always says what to do about a problem, and what it means', () => {
    const causes: BackendCause[] = ['not-built', 'no-driver', 'driver-too-old', 'no-device', 'device-too-old', 'failed'];
    const libraries: BackendCause[] = ['not-found', 'other-version', 'unreadable', 'failed'];
    for (const facts of [NO_ADDON, ...causes.map((cause) => withoutCuda(cause)), ...libraries.map((cause) => withoutCudnn(cause))]) {
      for (const { subject, status, consequence, remedies } of diagnose(facts).findings) {
        if (status !== 'problem') continue;
        expect(consequence, subject).to.match(/\.$/);
        expect(remedies, subject).not.to.be.empty;
      }
    }
  });
});

describe("the kernel's driver", () => {
  it('is known by its version, open or not', () => {
    const proprietary =
      'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: gcc 12.2.0\n';
    const open = 'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (dvs-builder@U16-I3)\n';
    expect(kernelDriverIn(proprietary)).to.equal('535.104.05');
    expect(kernelDriverIn(open)).to.equal('560.35.03');
    expect(kernelDriverIn('')).to.equal(undefined);
  });
});
