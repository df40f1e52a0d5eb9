/**
 * The native surface, written down as types, and the loader that finds it. Nothing here is public.
 * Arguments given to native calls were checked by the callers in this folder; native code trusts them.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import bindings from 'bindings';
import { BatchNormError, type ErrorCode } from './errors';

/** The numbers are those of native/core/dtype.h. */
export const DTYPE_CODES = { float32: 0, float64: 1, float16: 2, bfloat16: 3 } as const;
/** The numbers are those of native/core/activation.h. */
export const ACTIVATION_CODES = {
  identity: 0,
  relu: 1,
  leakyRelu: 2,
  elu: 3,
  sigmoid: 4,
  tanh: 5,
  silu: 6,
  gelu: 7,
} as const;

export type DTypeCode = (typeof DTYPE_CODES)[keyof typeof DTYPE_CODES];
export type ActivationCode = (typeof ACTIVATION_CODES)[keyof typeof ACTIVATION_CODES];

/** Host memory of one of the four dtypes; float16 and bfloat16 travel as Uint16Array bit patterns. */
export type HostArray = Float32Array | Float64Array | Uint16Array | Uint8Array;

export interface NativeMemoryUse {
  live: number;
  peak: number;
  reserved: number;
  limit: number;
}

/** A block of device memory. Freed by release() or, as a backstop, when collected. */
export interface NativeBuffer {
  readonly pointer: bigint;
  readonly byteLength: number;
  /** Gives the block back, in stream order: safe while work that uses it is queued. Idempotent. */
  release(): void;
  /** After release(): takes a new block of the same device, as {@link NativeDevice.allocate} does. */
  renew(byteLength: number, stream: NativeStream): void;
}

/** An in-order queue of a device. Every call returns at once unless its name ends in Sync. */
export interface NativeStream {
  /** Takes a snapshot of `source` before it returns. */
  upload(destination: NativeBuffer, to: DTypeCode, source: HostArray, from: DTypeCode): void;
  /** `destination` is filled when the promise resolves. */
  download(destination: HostArray, to: DTypeCode, source: NativeBuffer, from: DTypeCode): Promise<void>;
  downloadSync(destination: HostArray, to: DTypeCode, source: NativeBuffer, from: DTypeCode): void;
  /** Blocks until the source's work is done where the buffers are of different devices. */
  copy(destination: NativeBuffer, source: NativeBuffer, byteLength: number): void;
  fill(destination: NativeBuffer, dtype: DTypeCode, count: number, value: number): void;
  record(): NativeEvent;
  wait(event: NativeEvent): void;
  synchronize(): Promise<void>;
  synchronizeSync(): void;

  // Operations: the seven numbers of the problem first, then buffers (null where absent).
  trainingForward(
    backend: NativeBackend,
    outer: number,
    channels: number,
    inner: number,
    dtype: DTypeCode,
    parameterDtype: DTypeCode,
    activation: ActivationCode,
    eps: number,
    input: NativeBuffer,
    residual: NativeBuffer | null,
    weight: NativeBuffer | null,
    bias: NativeBuffer | null,
    output: NativeBuffer,
    statistics: NativeBuffer, // [3, channels]: mean high, mean low, biased variance, with renorm r and d too; cuDNN's are [2, channels]: mean, 1/√(variance + eps)
    mask: NativeBuffer | null,
    runningMean: NativeBuffer | null,
    runningVariance: NativeBuffer | null,
    momentum: number,
    unbiasedRunningVariance: boolean,
    renorm: { readonly rMax: number; readonly dMax: number } | null,
    part: NativePart | null,
  ): void;
  inferenceForward(
    backend: NativeBackend,
    outer: number,
    channels: number,
    inner: number,
    dtype: DTypeCode,
    parameterDtype: DTypeCode,
    activation: ActivationCode,
    eps: number,
    input: NativeBuffer,
    residual: NativeBuffer | null,
    mean: NativeBuffer,
    variance: NativeBuffer,
    weight: NativeBuffer | null,
    bias: NativeBuffer | null,
    output: NativeBuffer,
    mask: NativeBuffer | null,
  ): void;
  backward(
    backend: NativeBackend,
    outer: number,
    channels: number,
    inner: number,
    dtype: DTypeCode,
    parameterDtype: DTypeCode,
    activation: ActivationCode,
    eps: number,
    gradOutput: NativeBuffer,
    input: NativeBuffer,
    output: NativeBuffer | null, // of the forward pass; cuDNN reads it where there is an activation
    residual: NativeBuffer | null,
    mask: NativeBuffer | null,
    statistics: NativeBuffer | null, // of training; null: constant mean and variance below
    mean: NativeBuffer | null, // with statistics null
    variance: NativeBuffer | null,
    weight: NativeBuffer | null,
    bias: NativeBuffer | null,
    gradInput: NativeBuffer,
    gradWeight: NativeBuffer | null,
    gradBias: NativeBuffer | null,
    gradResidual: NativeBuffer | null,
    inPlace: boolean, // `input` holds the output of the forward pass
    renorm: { readonly rMax: number; readonly dMax: number } | null, // of the forward pass
    part: NativePart | null, // all but the first add to gradWeight and gradBias
  ): void;
}

/** Where a virtual batch begins in the tensors of the whole batch. What is told of the problem is then the part's. */
export interface NativePart {
  /** Of the input, and of all that is like it. */
  readonly elements: number;
  readonly statisticsBytes: number;
  readonly maskBytes: number;
}

/** A place in the order of a stream. */
export interface NativeEvent {
  synchronize(): Promise<void>;
  /** Milliseconds; both events must have been waited for. */
  since(earlier: NativeEvent): number;
  /** Idempotent. */
  release(): void;
}

/** Work recorded once; keeps the memory it uses. */
export interface NativeGraph {
  launch(stream: NativeStream): void;
  /** Safe while a launch is queued. Idempotent. */
  release(): void;
}

/** A kernel that an operation launches, and the bytes it moves to and from the device's memory. */
export interface KernelLaunch {
  kernel: string;
  grid: number;
  block: number;
  sharedBytes: number;
  bytesRead: number;
  bytesWritten: number;
  /** Blocks that the plan counts on to run at once on one multiprocessor. */
  blocksPerProcessor: number;
  /** How blocks share a channel; empty where they do not. */
  team: '' | 'block' | 'cluster' | 'grid';
  teamBlocks: number;
  /** The predicted time; 0 where there is none. */
  seconds: number;
}

/** Which of the arguments that change an operation's work it is given. */
export interface Given {
  residual?: boolean;
  mask?: boolean;
  running?: boolean;
  constantStatistics?: boolean;
  gradWeight?: boolean;
  gradBias?: boolean;
  gradResidual?: boolean;
}

/** How cuDNN computes: its modes spatial, spatial-persistent (faster, less accurate for large values) and per-activation. */
export type CudnnMode = 'spatial' | 'spatial-persistent' | 'per-activation';

/** The three operations; which library computes them. */
export interface NativeBackend {
  /** What the operation would launch, all tensors being aligned; nothing where there are no kernels to launch. */
  explain(
    operation: 'trainingForward' | 'inferenceForward' | 'backward',
    outer: number,
    channels: number,
    inner: number,
    dtype: DTypeCode,
    parameterDtype: DTypeCode,
    activation: ActivationCode,
    given: Given,
  ): KernelLaunch[];
  /** Forces a choice upon all plans from now on, in the words of CUDA_BATCHNORM_PLAN; for tests and for tuning. */
  force(choice: string): void;
  /**
   * Bytes of the mask that stands for the residual in backward; 0 where the backend wants the residual itself. cuDNN's is its reserve space,
   * which it may want without a residual too.
   */
  maskBytes(
    outer: number,
    channels: number,
    inner: number,
    dtype: DTypeCode,
    parameterDtype: DTypeCode,
    activation: ActivationCode,
    residual: boolean,
  ): number;
}

export interface NativeDevice {
  readonly type: 'cpu' | 'cuda';
  readonly name: string;
  readonly description: string;
  readonly defaultStream: NativeStream;
  readonly native: NativeBackend;
  /** `stream` is the one whose work will use the block first. */
  allocate(byteLength: number, stream: NativeStream): NativeBuffer;
  /** Memory owned elsewhere; release() only forgets it. */
  wrap(pointer: bigint, byteLength: number): NativeBuffer;
  /** The memory of a DLManagedTensor; release() has its deleter called, once the work queued by then is done. */
  adoptDLPack(pointer: bigint, byteLength: number): NativeBuffer;
  /** `mode`: '' for whatever is best. Throws ERR_DEVICE_UNAVAILABLE with the reason. */
  cudnn(mode: '' | CudnnMode): NativeBackend;
  createStream(): NativeStream;
  /** Records what `body` queues on the stream it is given; what it throws is thrown on, and the recording dropped. */
  capture(body: (stream: NativeStream) => void): NativeGraph;
  memory(): NativeMemoryUse;
  setMemoryLimit(bytes: number): void;
  emptyCache(): void;
  synchronize(): Promise<void>;
  synchronizeSync(): void;
}

/** Why a backend does not work, for programs. The words are those of native/core/backend.h, and 'addon'. */
export type BackendCause =
  | 'addon'
  | 'not-built'
  | 'no-driver'
  | 'driver-too-old'
  | 'no-device'
  | 'device-too-old'
  | 'not-found'
  | 'other-version'
  | 'unreadable'
  | 'no-cuda'
  | 'failed';

export interface NativeReport {
  name: string;
  available: boolean;
  reason: string;
  /** '' where it works. */
  cause: '' | BackendCause;
  version: string;
  path: string;
}

/** What a DLManagedTensor says of itself. */
export interface NativeDLPack {
  deviceType: number;
  deviceId: number;
  typeCode: number;
  typeBits: number;
  typeLanes: number;
  shape: number[];
  /** In elements; null: row-major. */
  strides: number[] | null;
  /** Of the first element. */
  pointer: bigint;
}

export interface NativeAddon {
  /** The file it was loaded from; set by `bindings`. */
  readonly path: string;
  /** Called once per environment: native errors are made with `new errorClass(code, message)`. */
  setErrorClass(errorClass: new (code: ErrorCode, message: string) => Error): void;
  report(): NativeReport[];
  /** Names of the devices that work here: ['cpu', 'cuda:0', …]. */
  deviceNames(): string[];
  /** The environment's one device of that name; throws ERR_DEVICE_UNAVAILABLE with the reason. */
  device(name: string): NativeDevice;
  /** Address of a DLManagedTensor, which keeps the memory until its deleter is called, on whatever thread. */
  exportDLPack(
    buffer: NativeBuffer,
    deviceType: number,
    deviceId: number,
    typeCode: number,
    typeBits: number,
    shape: readonly number[],
  ): bigint;
  inspectDLPack(pointer: bigint): NativeDLPack;
}

/** Why the addon could not be loaded: the places that were tried, each with its reason, and what to do about it. */
export class LoadError extends BatchNormError {
  constructor(
    readonly tried: readonly string[],
    readonly remedy: string,
  ) {
    const lines = tried.map((failure) => `\n  - ${failure}`).join('');
    super(
      'ERR_ADDON',
      `The native addon could not be loaded. Tried:${lines}\nWhat to do: ${remedy} \`npx cuda-batchnorm doctor\` tells more.`,
    );
  }
}

let loaded: NativeAddon | undefined;

/** Which build of the addon is wanted. */
export function wantedVariant(): string {
  return process.env.CUDA_BATCHNORM_VARIANT || 'release';
}

/** The addon, loaded at first use and never at import. After a failure the next call tries again. */
export function addon(): NativeAddon {
  loaded ??= loadAddon(packageRoot(__dirname), wantedVariant());
  return loaded;
}

/** Tries every place where a build puts the addon. Throws ERR_ADDON with all failures and what to do about them. */
export function loadAddon(root: string, variant: string): NativeAddon {
  const failures: string[] = [];
  for (const folder of buildFolders(variant)) {
    try {
      const native = bindings({
        bindings: 'cuda_batchnorm',
        module_root: root,
        try: [['module_root', ...folder, 'bindings']],
      }) as NativeAddon;
      native.setErrorClass(BatchNormError);
      return native;
    } catch (error) {
      failures.push(`${join(root, ...folder, 'cuda_batchnorm.node')}: ${reasonOf(error)}`);
    }
  }
  throw new LoadError(failures, remedy(failures, variant));
}

// Written out because the default list of `bindings` looks into Debug first, where an old build hides the new one.
function buildFolders(variant: string): string[][] {
  const cmake = ['out', variant, 'Release'];
  return variant === 'release' ? [cmake, ['build', 'Release']] : [cmake];
}

/** The folder of package.json: the sources lie below it, the compiled files one folder deeper. */
export function packageRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : packageRoot(dirname(folder));
}

const NOT_BUILT = 'not built';

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'tries' in error ? NOT_BUILT : error.message.trim();
}

// Tried in this order: the first pattern that a failure matches names its cause.
const REMEDIES: readonly [RegExp, string][] = [
  [
    /GLIBC|CXXABI|undefined symbol|symbol not found/i,
    'it was built against other system libraries than this machine has: build it here with `npm rebuild cuda-batchnorm`.',
  ],
  [
    // The loader of GNU/Linux says of a file for another processor that it cannot open it.
    /ELF|file too short|\.node: cannot open shared object|incompatible architecture|mach-o|not a valid Win32/i,
    'it was built for another processor or system, or is damaged: build it here with `npm rebuild cuda-batchnorm`.',
  ],
  [
    /NODE_MODULE_VERSION|Node-API|napi/i,
    `it needs Node.js 20.17 or newer (this is ${process.version}): update Node.js, then run \`npm rebuild cuda-batchnorm\`.`,
  ],
  [
    /shared object|image not found|module could not be found/i,
    'a library it needs is missing on this machine: install it, or build without it by `npm rebuild cuda-batchnorm`.',
  ],
];

/** What to do, given all failures. */
export function remedy(failures: readonly string[], variant: string): string {
  const present = failures.filter((failure) => !failure.endsWith(NOT_BUILT)).join('\n');
  const build = 'run `npm rebuild cuda-batchnorm` where the package is installed, or `npm run build` in its source tree.';
  if (present === '') return variant === 'release' ? build : `build the variant '${variant}', or unset CUDA_BATCHNORM_VARIANT.`;
  return REMEDIES.find(([pattern]) => pattern.test(present))?.[1] ?? build;
}
