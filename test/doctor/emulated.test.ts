import { expect } from 'chai';
import { describeEmulated } from '../helpers/cuda';
import { diagnosisOf, findingOf } from './helpers';

const devices = (wanted: string) => diagnosisOf({ CUDA_BATCHNORM_EMULATED_DEVICES: wanted });

describeEmulated('cuda-batchnorm doctor', () => {
  it('sees the GPU, and the emulator behind it', () => {
    const diagnosis = devices('1');
    expect(diagnosis.auto).to.equal('cuda:0');
    expect(findingOf(diagnosis, 'CUDA build').found).to.include('emulator');
    expect(findingOf(diagnosis, 'NVIDIA driver').found).to.include('emulator');
    expect(findingOf(diagnosis, 'GPU cuda:0')).to.include({ status: 'ok' });
    expect(findingOf(diagnosis, 'GPU cuda:0').found).to.match(/Emulated NVIDIA H200, compute capability 9\.0, \d+ GiB/);
  });

  it('sees several GPUs', () => {
    const subjects = devices('3').findings.map(({ subject }) => subject);
    expect(subjects.filter((subject) => subject.startsWith('GPU'))).to.deep.equal(['GPU cuda:0', 'GPU cuda:1', 'GPU cuda:2']);
  });

  const obstacles: [devices: string, subject: string, found: RegExp, remedy: RegExp][] = [
    ['driver', 'NVIDIA driver', /^no NVIDIA driver was found/, /install its driver|docker run/],
    ['old-driver', 'NVIDIA driver', /too old for CUDA 13\.0: it knows CUDA 12\.2 at most/, /Update the driver/],
    ['0', 'GPU', /^no CUDA device was found/, /nvidia-smi -L/],
  ];
  for (const [wanted, subject, found, remedy] of obstacles) {
    it(`tells the truth where the emulator plays '${wanted}'`, () => {
      const diagnosis = devices(wanted);
      expect(diagnosis).to.include({ works: true, auto: 'cpu' });
      const finding = findingOf(diagnosis, subject);
      expect(finding.status).not.to.equal('ok');
      expect(finding.found).to.match(found);
      expect(finding.consequence).to.equal('Batch norm runs on the CPU.');
      expect(finding.remedies!.join('; ')).to.match(remedy);
      expect(diagnosis.findings.filter(({ consequence }) => consequence === finding.consequence)).to.have.length(1);
    });
  }

  it('finds a GPU that is there and cannot compute', () => {
    const diagnosis = diagnosisOf({ CUDA_BATCHNORM_EMULATED_MEMORY: '1000' });
    expect(diagnosis).to.include({ works: true, auto: null });
    expect(findingOf(diagnosis, 'GPU cuda:0')).to.include({ status: 'problem' });
    expect(findingOf(diagnosis, 'GPU cuda:0').found).to.include('limit of 1000');
  });

  it('finds a runtime that fails', () => {
    const diagnosis = diagnosisOf({ CUDA_BATCHNORM_EMULATED_GPU: 'Abacus' });
    expect(diagnosis.auto).to.equal('cpu');
    expect(findingOf(diagnosis, 'CUDA runtime')).to.include({ status: 'problem' });
    expect(findingOf(diagnosis, 'CUDA runtime').found).to.include('Abacus');
  });
});
