/** Findings about what was installed and built: Node.js, the addon, TensorFlow.js. */

import type { Facts } from './facts';
import { type Finding, NOWHERE } from './finding';

export function nodeFinding({ node, manifest }: Facts): Finding {
  const found = `${node.version} on ${node.platform} ${node.arch}`;
  const details = { ...node, needed: manifest.engines.node };
  const subject = 'Node.js';
  if (!['linux', 'darwin'].includes(node.platform)) {
    return {
      subject,
      status: 'problem',
      found,
      consequence: 'This package is made for Linux and macOS.',
      remedies: ['Use one of these; on Windows, WSL is a Linux'],
      details,
    };
  }
  const needed = /\d+\.\d+/.exec(manifest.engines.node)![0];
  if (isAtLeast(node.version, needed)) return { subject, status: 'ok', found: `${found}; ${needed} or newer is needed`, details };
  return {
    subject,
    status: 'problem',
    found: `${found}, older than ${needed}`,
    consequence: 'This package is neither made for it nor tested on it.',
    remedies: [`Install Node.js ${needed} or newer, then run \`npm rebuild cuda-batchnorm\``],
    details,
  };
}

export function addonFinding({ addon, variant }: Facts): Finding {
  const subject = 'Addon';
  if (addon.failure === undefined) {
    return { subject, status: 'ok', found: `variant ${variant}: ${addon.value}`, details: { path: addon.value, variant } };
  }
  const { message, tried, remedy } = addon.failure;
  return {
    subject,
    status: 'problem',
    found: tried === undefined ? message : ['could not be loaded; tried:', ...tried].join('\n'),
    consequence: NOWHERE,
    remedies: [remedy ?? 'build it here: `npm rebuild cuda-batchnorm`'],
    details: { variant, tried: tried ?? [message] },
  };
}

export function tensorflowFinding({ tensorflow, manifest }: Facts): Finding {
  const subject = 'TensorFlow.js';
  const needed = manifest.peerDependencies['@tensorflow/tfjs']!;
  const major = /\d+/.exec(needed)![0];
  const remedies = [`Install it: \`npm install @tensorflow/tfjs@${major}\``];
  const consequence = 'Only cuda-batchnorm/tfjs and the demo need it.';
  if (tensorflow.failure !== undefined) {
    const found = `cannot be read: ${tensorflow.failure.message}`;
    return { subject, status: 'problem', found, consequence, remedies, details: { needed } };
  }
  const version = tensorflow.value;
  const details = { version, needed };
  if (version === null) return { subject, status: 'optional', found: 'not installed', consequence, remedies, details };
  if (version.split('.')[0] === major) return { subject, status: 'ok', found: version, details };
  return { subject, status: 'problem', found: `${version}, and ${needed} is needed`, consequence, remedies, details };
}

function isAtLeast(version: string, needed: string): boolean {
  const [major, minor] = version.split('.').map(Number);
  const [neededMajor, neededMinor] = needed.split('.').map(Number);
  return major! > neededMajor! || (major === neededMajor && minor! >= neededMinor!);
}
