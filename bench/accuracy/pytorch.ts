/** PyTorch on the CPU and, where its CUDA works, on the GPU: one process, whose lines pytorch.py describes. */

import { join } from 'node:path';
import { LineProcess } from '../cpu/line_process';
import type { Layout } from '../cpu/problem';
import { type Contender, LAYOUTS, type Step } from './contender';
import { DTYPES, type Problem } from './problem';

interface Description {
  version: string;
  threads: number;
  cuda: { device: string; cudnn: boolean; cudnnVersion: number | null } | null;
}

/** The second one is null where PyTorch has no GPU. */
export async function startPyTorch(python: string): Promise<[Contender, Contender | null]> {
  const child = new LineProcess(python, [join(__dirname, 'pytorch.py')]);
  const { version, threads, cuda } = JSON.parse(await child.readLine()) as Description;
  const on = (device: string, name: string, note: string): Contender => ({
    name,
    version,
    note: `${note}; weight, bias and statistics in float32`,
    role: 'rival',
    layouts: LAYOUTS,
    dtypes: DTYPES,
    step: (problem, layout) => step(child, device, problem, layout),
    close: () => child.close(),
  });
  const processor = on('cpu', 'PyTorch CPU', `${threads} threads`);
  if (cuda === null) return [processor, null];
  const kernels = cuda.cudnn ? `cuDNN ${cuda.cudnnVersion} or its own kernels, as PyTorch chooses call by call` : 'its own kernels';
  return [processor, on('cuda', `PyTorch CUDA, cuDNN ${cuda.cudnn ? 'enabled' : 'disabled'}`, `${cuda.device}; ${kernels}`)];
}

async function step(child: LineProcess, device: string, { x, dy, ...problem }: Problem, layout: Layout): Promise<Step> {
  const request = { ...problem, device, layout, x: encode(x), dy: encode(dy) };
  const answer = JSON.parse(await child.ask(JSON.stringify(request))) as Record<keyof Step, string> | { error: string };
  if ('error' in answer) throw new Error(answer.error);
  return { output: decode(answer.output), dx: decode(answer.dx), dγ: decode(answer.dγ), dβ: decode(answer.dβ) };
}

const encode = ({ buffer, byteOffset, byteLength }: Float32Array): string => Buffer.from(buffer, byteOffset, byteLength).toString('base64');

const decode = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);
