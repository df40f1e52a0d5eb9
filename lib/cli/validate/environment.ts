/** Where results come from: versions, machine, devices and backends. */

import { Device } from '../../index';
import type { Subject } from './subject';

const { version } = require('cuda-batchnorm/package.json') as { version: string };

export function environmentOf(subjects: readonly Subject[]) {
  const devices = [...new Set(subjects.map(({ device }) => device))];
  return {
    version,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    devices: devices.map(({ name, description }) => ({ name, description })),
    backends: Device.report(),
  };
}
