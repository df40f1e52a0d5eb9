/** The constants by which the plan predicts times: native/cuda/tuning.h, where they are named in this order. */

export const CONSTANTS = [
  'bandwidth',
  'processorBandwidth',
  'cacheBandwidth',
  'launch',
  'latency',
  'step',
  'stepLatency',
  'piece',
  'clusterMeeting',
  'gridMeeting',
] as const;
export type Constant = (typeof CONSTANTS)[number];
export type Constants = Record<Constant, number>;

/** What a constant can be; beyond, it would only make up for something else. */
export const BOUNDS: Record<Constant, readonly [least: number, most: number]> = {
  bandwidth: [0.5, 1],
  processorBandwidth: [1, 8],
  cacheBandwidth: [1, 8],
  launch: [2e-7, 1e-5],
  latency: [2e-7, 3e-6],
  step: [1e-9, 2e-7],
  stepLatency: [1e-8, 2e-6],
  piece: [2e-7, 2e-5],
  clusterMeeting: [1e-7, 1e-5],
  gridMeeting: [2e-7, 2e-5],
};

/** As CUDA_BATCHNORM_PLAN takes them. */
export const asChoice = (constants: Constants): string => CONSTANTS.map((name) => `${name}=${constants[name]}`).join(',');

export const isPlausible = (name: Constant, value: number): boolean => value >= BOUNDS[name][0] && value <= BOUNDS[name][1];

const ROW = /^ {4}\{(\d+), (\d+), ([^}]*)\},.*$/;

interface Row {
  major: number;
  minor: number;
  line: string;
  constants: Constants;
}

function rowOf(line: string): Row | null {
  const match = ROW.exec(line);
  if (!match) return null;
  const values = match[3]!.split(',').map(Number);
  const constants = Object.fromEntries(CONSTANTS.map((name, i) => [name, values[i]!])) as Constants;
  return { major: Number(match[1]), minor: Number(match[2]), line, constants };
}

const isUpTo = (row: Row, major: number, minor: number): boolean => row.major < major || (row.major === major && row.minor <= minor);

/** The constants that the table has for a compute capability. */
export function constantsIn(table: string, major: number, minor: number): Constants {
  const rows = table.split('\n').flatMap((line) => rowOf(line) ?? []);
  const row = rows.findLast((one) => isUpTo(one, major, minor)) ?? rows[0];
  if (!row) throw new Error('Expected rows of constants in native/cuda/tuning.h but found none');
  return row.constants;
}

export const inWords = (value: number): string =>
  value === 0 ? '0' : value < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));

export const newRow = (major: number, minor: number, constants: Constants, comment: string): string =>
  `    {${[major, minor, ...CONSTANTS.map((name) => inWords(constants[name]))].join(', ')}},  // ${comment}`;

/** The table with this row, in place of the one of the same compute capability or in its order among the others. */
export function withRow(table: string, major: number, minor: number, constants: Constants, comment: string): string {
  const lines = table.split('\n');
  const rows = lines.map(rowOf);
  const same = rows.findIndex((row) => row !== null && row.major === major && row.minor === minor);
  const row = newRow(major, minor, constants, comment);
  if (same >= 0) return lines.with(same, row).join('\n');
  const before = rows.findLastIndex((one) => one !== null && isUpTo(one, major, minor));
  const first = rows.findIndex((one) => one !== null);
  return lines.toSpliced(before >= 0 ? before + 1 : first, 0, row).join('\n');
}
