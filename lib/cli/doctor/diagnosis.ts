/** From what there is to what that means. */

import { cpuFinding } from './cpu';
import { cudaFindings } from './cuda';
import { cudnnFinding } from './cudnn';
import type { Facts } from './facts';
import type { Finding } from './finding';
import { addonFinding, nodeFinding, tensorflowFinding } from './installation';

export interface Diagnosis {
  /** Of this package. */
  version: string;
  /** Whether batch norm works here, if only on the CPU. */
  works: boolean;
  /** What device 'auto' is; null where it does not work. */
  auto: string | null;
  findings: readonly Finding[];
}

export function diagnose(facts: Facts): Diagnosis {
  return {
    version: facts.manifest.version,
    works: facts.cpu.failure === undefined,
    auto: facts.auto.value ?? null,
    findings: [
      nodeFinding(facts),
      addonFinding(facts),
      cpuFinding(facts),
      ...cudaFindings(facts),
      cudnnFinding(facts),
      tensorflowFinding(facts),
    ],
  };
}
