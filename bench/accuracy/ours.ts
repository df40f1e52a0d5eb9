/** Our devices, and cuDNN by our layer's backend of that name. */

import { type BackendName, BatchNorm, Device, Tensor } from '../../lib/index';
import { EPS } from '../cpu/data';
import { type Layout, memoryShape } from '../cpu/problem';
import { isEmulated } from '../gpu/gpu';
import { type Contender, LAYOUTS, type Step } from './contender';
import { DTYPES, fromLayout, type Problem, toLayout } from './problem';

const versionOf = (backend: string): string => Device.report().find(({ name }) => name === backend)?.version ?? 'unknown';

/** An emulated GPU is called one wherever it is named. */
const placeOf = ({ type, name }: Device): string => (type === 'cuda' && isEmulated() ? `${name} (emulated)` : name);

export function ours(device: Device): Contender {
  return {
    name: `ours, ${placeOf(device)}`,
    version: versionOf(device.type),
    note: `${device.description}; parameters and statistics in float32`,
    role: 'ours',
    ...layerOn(device, 'native'),
  };
}

export function cudnn(device: Device): Contender {
  const standIn = isEmulated();
  return {
    name: `cuDNN${standIn ? ' stand-in' : ''}, ${placeOf(device)}`,
    version: versionOf('cudnn'),
    note: standIn
      ? 'not cuDNN: a library of the tests with its functions, on the CPU; its figures say nothing about cuDNN'
      : `${device.description}; mode spatial for channels first, spatial-persistent for channels last`,
    role: standIn ? 'stand-in' : 'rival',
    ...layerOn(device, 'cudnn'),
  };
}

function layerOn(device: Device, backend: BackendName): Pick<Contender, 'layouts' | 'dtypes' | 'step' | 'close'> {
  return { layouts: LAYOUTS, dtypes: DTYPES, step: (problem, layout) => step(problem, layout, device, backend), close: () => {} };
}

async function step({ x, dy, dtype, shape }: Problem, layout: Layout, device: Device, backend: BackendName): Promise<Step> {
  const axis = layout === 'channels first' ? 1 : -1;
  const upload = (values: Float32Array) => Tensor.from(toLayout(values, shape, layout), memoryShape({ shape, layout }), { device, dtype });
  const download = async (tensor: Tensor) => fromLayout((await tensor.read()) as Float32Array, shape, layout);
  using layer = new BatchNorm(shape[1], { eps: EPS, axis, device, backend });
  using input = upload(x);
  using gradOutput = upload(dy);
  using output = layer.forward(input);
  const gradients = layer.backward(gradOutput);
  using dx = gradients.input;
  using dγ = gradients.weight!;
  using dβ = gradients.bias!;
  return { output: await download(output), dx: await download(dx), dγ: await dγ.read(), dβ: await dβ.read() };
}
