/** What there is on this machine, gathered and not judged. What cannot be found out is a fact too: nothing here throws. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot, wantedVariant } from '../../addon';
import { type Answer, type Answers, STEPS } from './answers';
import { interview } from './interview';

export interface Facts extends AnswersByStep {
  /** Of this package: its version, and what it needs. */
  manifest: { version: string; engines: { node: string }; peerDependencies: Record<string, string> };
  node: { version: string; platform: string; arch: string };
  /** Of the addon. */
  variant: string;
  environment: { CUDNN_HOME?: string | undefined; CUDA_VISIBLE_DEVICES?: string | undefined };
  /** Version of NVIDIA's kernel driver, where it is loaded. */
  kernelDriver?: string | undefined;
  /** NVIDIA's graphics devices on the PCI bus, driver or not. */
  nvidiaCards: number;
  /** Version of TensorFlow.js, where it is installed. */
  tensorflow: Answer<string | null>;
}

type AnswersByStep = { [Step in keyof Answers]: Answer<Answers[Step]> };

/** Whether this machine has something of NVIDIA's: what is not there is a problem only where it would be of use. */
export function hasNvidia({ kernelDriver, nvidiaCards }: Facts): boolean {
  return kernelDriver !== undefined || nvidiaCards > 0;
}

/** For each answer: opening many GPUs for the first time after a start takes its time. */
const PATIENCE = 60_000;

export async function gatherFacts(): Promise<Facts> {
  const { CUDNN_HOME, CUDA_VISIBLE_DEVICES } = process.env;
  const answers = await interview(require.resolve('./probe'), STEPS, PATIENCE);
  return {
    ...(Object.fromEntries(answers) as AnswersByStep),
    manifest: JSON.parse(readFileSync(join(packageRoot(__dirname), 'package.json'), 'utf8')),
    node: { version: process.versions.node, platform: process.platform, arch: process.arch },
    variant: wantedVariant(),
    environment: { CUDNN_HOME: CUDNN_HOME || undefined, CUDA_VISIBLE_DEVICES },
    kernelDriver: kernelDriverIn(read('/proc/driver/nvidia/version')),
    nvidiaCards: nvidiaCards(),
    tensorflow: tensorflow(),
  };
}

/** The version in what the driver says of itself in /proc. */
export function kernelDriverIn(text: string): string | undefined {
  return /Kernel Module.*?(\d+\.[\d.]+)/.exec(text)?.[1];
}

function nvidiaCards(): number {
  const bus = '/sys/bus/pci/devices';
  const isCard = (device: string) =>
    read(join(bus, device, 'vendor')).startsWith('0x10de') && read(join(bus, device, 'class')).startsWith('0x03');
  return list(bus).filter(isCard).length;
}

function tensorflow(): Answer<string | null> {
  try {
    return { value: require('@tensorflow/tfjs/package.json').version };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'MODULE_NOT_FOUND' ? { value: null } : { failure: { message } };
  }
}

/** Empty where it cannot be read. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
