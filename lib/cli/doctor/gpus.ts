/** The findings about GPUs: one for each, or one that says why there is none. */

import type { BackendReport } from '../../device';
import type { Gpu } from './answers';
import { type Facts, hasNvidia } from './facts';
import { type Finding, notAsked, ON_CPU } from './finding';

const SUBJECT = 'GPU';

export function gpuFindings({ cause, reason }: BackendReport, facts: Facts): Finding[] {
  switch (cause) {
    case undefined:
      return facts.gpus.failure === undefined ? facts.gpus.value.map(gpuFinding) : [broken(SUBJECT, facts.gpus.failure.message)];
    case 'addon':
      return [notAsked(SUBJECT, reason!)];
    case 'not-built':
      return [notAsked(SUBJECT, 'this build does not use any')];
    case 'no-driver':
    case 'driver-too-old':
      return [notAsked(SUBJECT, 'it takes a driver that works')];
    case 'no-device':
      return [none(reason!, facts)];
    case 'device-too-old':
      return [tooOld(reason!)];
    default:
      return [notAsked(SUBJECT, 'the CUDA runtime does not work')];
  }
}

function gpuFinding({ name, description, failure }: Gpu): Finding {
  const subject = `${SUBJECT} ${name}`;
  if (failure !== undefined) return broken(subject, failure);
  return { subject, status: 'ok', found: `${description}; a trial batch norm is right`, details: { device: name, description } };
}

function broken(subject: string, reason: string): Finding {
  return {
    subject,
    status: 'problem',
    found: reason,
    consequence: 'Batch norm does not run on it.',
    remedies: ['See in `nvidia-smi` whether other processes hold it, or its memory; CUDA_VISIBLE_DEVICES chooses the GPUs to use'],
    details: { reason },
  };
}

function none(reason: string, facts: Facts): Finding {
  const { CUDA_VISIBLE_DEVICES: visible } = facts.environment;
  const hidden = `CUDA_VISIBLE_DEVICES is '${visible}', which hides GPUs: \`unset CUDA_VISIBLE_DEVICES\``;
  return {
    subject: SUBJECT,
    status: visible !== undefined || hasNvidia(facts) ? 'problem' : 'optional',
    found: reason,
    consequence: ON_CPU,
    remedies: [
      ...(visible === undefined ? [] : [hidden]),
      'See in `nvidia-smi -L` which GPUs the driver has; a container sees those that it is started with, `docker run --gpus all`',
    ],
    details: { reason, CUDA_VISIBLE_DEVICES: visible },
  };
}

function tooOld(reason: string): Finding {
  return {
    subject: SUBJECT,
    status: 'problem',
    found: reason,
    consequence: ON_CPU,
    remedies: ['Only a newer GPU helps: one of the generation Turing, of 2018, or later'],
    details: { reason },
  };
}
