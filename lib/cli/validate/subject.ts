/** What is validated: a backend on a device, and how a problem runs on it. */

import { BatchNorm, Device, Tensor } from '../../index';
import type { Values } from '../../validation/oracle';
import type { Case } from './cases';
import type { Inputs } from './data';
import { MOMENTUM, type Quantity } from './reference';

export interface Subject {
  /** `'cpu native'`, `'cuda:0 cudnn'`. */
  name: string;
  device: Device;
  backend: Backend;
  run(problem: Case, inputs: Inputs): Promise<Results>;
}

type Backend = 'native' | 'cudnn';

export type Results = Partial<Record<Quantity, Values>>;

/** All that work on these devices, each device's native backend first. */
export function subjectsOn(devices: readonly Device[]): Subject[] {
  const cudnn = Device.report().some(({ name, available }) => name === 'cudnn' && available);
  return devices.flatMap((device) =>
    (['native', 'cudnn'] as const)
      .filter((backend) => backend === 'native' || (cudnn && device.type === 'cuda'))
      .map((backend) => ({
        name: `${device.name} ${backend}`,
        device,
        backend,
        run: (problem: Case, inputs: Inputs) => execute(device, backend, problem, inputs),
      })),
  );
}

async function execute(device: Device, backend: Backend, problem: Case, inputs: Inputs): Promise<Results> {
  using layer = makeLayer(device, backend, problem, inputs);
  const upload = (values: Float64Array) => Tensor.from(values, problem.layout.shape, { dtype: problem.dtype, device });
  using input = upload(inputs.pass.x as Float64Array);
  using residual = inputs.residual && upload(inputs.residual);
  const isBackward = problem.operation === 'backward' || problem.operation === 'backward-constant';
  using output = layer.forward(input, { residual, saveForBackward: isBackward });
  if (isBackward) {
    using dy = upload(inputs.dy);
    return readGradients(layer, dy);
  }
  if (problem.operation === 'inference') return { output: await output.read() };
  return {
    output: await output.read(),
    'running mean': await layer.runningMean!.read(),
    'running variance': await layer.runningVar!.read(),
  };
}

function makeLayer(device: Device, backend: Backend, { layout, activation, operation, eps }: Case, inputs: Inputs): BatchNorm {
  const { view, parameterDtype } = inputs.pass;
  const { axis } = layout;
  const layer = new BatchNorm(view.channels, { axis, activation, eps, momentum: MOMENTUM, dtype: parameterDtype, device, backend });
  layer.weight!.write(inputs.weight);
  layer.bias!.write(inputs.bias);
  layer.runningMean!.write(inputs.runningMean);
  layer.runningVar!.write(inputs.runningVariance);
  return layer.train(operation === 'training' || operation === 'backward');
}

async function readGradients(layer: BatchNorm, dy: Tensor): Promise<Results> {
  const gradients = layer.backward(dy);
  using input = gradients.input;
  using weight = gradients.weight;
  using bias = gradients.bias;
  using residual = gradients.residual;
  return {
    dx: await input.read(),
    ...(weight && { dγ: await weight.read() }),
    ...(bias && { dβ: await bias.read() }),
    ...(residual && { dresidual: await residual.read() }),
  };
}
