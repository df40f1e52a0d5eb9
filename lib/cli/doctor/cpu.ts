/** The finding about the CPU. */

import type { Facts } from './facts';
import { type Finding, NO_ADDON, NOWHERE, notAsked } from './finding';

const SUBJECT = 'CPU';

export function cpuFinding({ cpu, addon }: Facts): Finding {
  if (addon.failure !== undefined) return notAsked(SUBJECT, NO_ADDON);
  if (cpu.failure === undefined) {
    return { subject: SUBJECT, status: 'ok', found: `${cpu.value}; a trial batch norm is right`, details: { description: cpu.value } };
  }
  const reason = cpu.failure.message;
  const setting = /CUDA_BATCHNORM_\w+/.exec(reason)?.[0];
  return {
    subject: SUBJECT,
    status: 'problem',
    found: reason,
    consequence: NOWHERE,
    remedies: [
      setting === undefined ? 'Build the addon here: `npm rebuild cuda-batchnorm`' : `Correct ${setting}, or \`unset ${setting}\``,
    ],
    details: { reason },
  };
}
