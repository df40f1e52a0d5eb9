/** Who takes part on this machine, and why the others do not. */

import { Device } from '../../lib/index';
import type { Contender } from './contender';
import { cudnn, ours } from './ours';
import { startPyTorch } from './pytorch';
import { roundedMean } from './rounded_mean';
import { startTensorFlow } from './tensorflow';

export interface LeftOut {
  name: string;
  reason: string;
}

export interface Field {
  contenders: Contender[];
  leftOut: LeftOut[];
}

/** `device` is the one of ours to measure; without it the CPU, and the first GPU where there is one. */
export async function startContenders(device: string | undefined, python: string | undefined): Promise<Field> {
  const fields = [ourDevices(device), cudnnOn(device), await pyTorch(python), { contenders: [await startTensorFlow(), roundedMean] }];
  return {
    contenders: fields.flatMap(({ contenders }) => contenders ?? []),
    leftOut: fields.flatMap(({ leftOut }) => leftOut ?? []),
  };
}

const reportOf = (backend: string) => Device.report().find(({ name }) => name === backend)!;

const without = (name: string, reason: string): Partial<Field> => ({ leftOut: [{ name, reason }] });

function ourDevices(device: string | undefined): Partial<Field> {
  if (device !== undefined) return { contenders: [ours(Device.get(device))] };
  const cpu = ours(Device.get('cpu'));
  const { available, reason } = reportOf('cuda');
  if (available) return { contenders: [cpu, ours(Device.get('cuda:0'))] };
  return { contenders: [cpu], ...without('ours, cuda:0', reason!) };
}

function cudnnOn(device: string | undefined): Partial<Field> {
  const { available, reason } = reportOf('cudnn');
  if (!available) return without('cuDNN', reason!);
  const gpu = Device.get(device ?? 'cuda:0');
  if (gpu.type !== 'cuda') return without('cuDNN', `it needs a CUDA device, and --device is ${gpu.name}`);
  return { contenders: [cudnn(gpu)] };
}

async function pyTorch(python: string | undefined): Promise<Partial<Field>> {
  if (!python) return without('PyTorch', 'BENCH_PYTHON names no Python with torch');
  const [cpu, cuda] = await startPyTorch(python);
  if (cuda !== null) return { contenders: [cpu, cuda] };
  return { contenders: [cpu], ...without('PyTorch CUDA', 'torch.cuda.is_available() is false') };
}
