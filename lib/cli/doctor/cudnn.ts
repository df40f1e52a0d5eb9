/** The finding about cuDNN. */

import type { BackendReport } from '../../device';
import type { Facts } from './facts';
import { type Finding, NO_ADDON, NO_REPORT, notAsked } from './finding';

const SUBJECT = 'cuDNN';

export function cudnnFinding(facts: Facts): Finding {
  const { addon, cudnn } = facts;
  if (addon.failure !== undefined) return notAsked(SUBJECT, NO_ADDON);
  // Where the process ended that loaded it, that is cuDNN's failure.
  const report = cudnn.value ?? { name: 'cudnn', available: false, cause: 'failed', reason: cudnn.failure.message };
  return judge(report, facts);
}

function judge({ available, cause, reason, version, path }: BackendReport, facts: Facts): Finding {
  const details = { version, path, cause, reason };
  if (available) return { subject: SUBJECT, status: 'ok', found: `${version}; a trial batch norm is right; ${path}`, details };
  const unused = { subject: SUBJECT, status: 'optional', found: reason!, consequence: NEEDED_BY, details } as const;
  const named = facts.environment.CUDNN_HOME !== undefined; // who names a folder wants it to be found there
  switch (cause) {
    case 'addon':
      return notAsked(SUBJECT, NO_REPORT);
    case 'not-built':
    case 'no-cuda':
      return unused;
    case 'not-found':
      return { ...unused, status: named ? 'problem' : 'optional', remedies: replace(facts) };
    case 'other-version':
      return { ...unused, status: 'problem', remedies: replace(facts) };
    default:
      return { ...unused, status: 'problem', remedies: [INSPECT, ...replace(facts)] };
  }
}

const NEEDED_BY = "Only backend: 'cudnn' needs it, on a GPU; the package's own kernels do not.";

const INSPECT =
  'See `ldd FILE` for libraries that it lacks, `file FILE` for the processor it is made for, `ls -l FILE` for who may read it';

/** Ways to another library. */
function replace({ cuda, environment }: Facts): string[] {
  const versions = cuda.value?.version ?? '';
  const [, major] = /driver for CUDA (\d+)/.exec(versions) ?? /CUDA (\d+)/.exec(versions) ?? [];
  const pip = `\`python3 -m pip install nvidia-cudnn-cu${major ?? '12'}\``;
  if (environment.CUDNN_HOME === undefined) return [`Install it: ${pip}`, 'Or let CUDNN_HOME name the folder of a libcudnn.so.9'];
  return [
    'Let CUDNN_HOME name the folder of a libcudnn.so.9 that works',
    `Or \`unset CUDNN_HOME\`, to have it looked for in the usual places, where ${pip} puts it`,
  ];
}
