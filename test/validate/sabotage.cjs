// Loaded into a process before anything else (node --require): breaks one result of the native addon, the one that SABOTAGE names, after
// each operation that makes it. The positions of arguments are those of NativeStream in lib/addon.ts.
const DTYPE = 4;
const PARAMETER_DTYPE = 5;
const BITS = { code: 2 }; // the mask is no array of numbers: its first 16 bits are set to 0

// result: [operation, position of its buffer, position of its dtype]
const RESULTS = {
  statistics: ['trainingForward', 13, PARAMETER_DTYPE],
  transform: ['trainingForward', 12, DTYPE],
  'inference transform': ['inferenceForward', 14, DTYPE],
  'running update': ['trainingForward', 15, PARAMETER_DTYPE],
  dx: ['backward', 18, DTYPE],
  dγ: ['backward', 19, PARAMETER_DTYPE],
  'residual mask': ['trainingForward', 14, BITS],
  // Not a wrong number but an exception, in the dtype bfloat16 alone.
  exception: ['inferenceForward', undefined, undefined],
};

const [operation, buffer, dtype] = RESULTS[process.env.SABOTAGE];

function sabotage({ defaultStream: stream, native }) {
  const original = stream[operation];
  // The prototype's own methods cannot be replaced.
  Object.defineProperty(stream, operation, {
    value(...args) {
      const ours = args[0] === native;
      if (ours && buffer === undefined && args[DTYPE] === 3) throw new Error('sabotaged');
      original.apply(stream, args);
      if (!ours || buffer === undefined || args[buffer] === null) return;
      if (dtype === BITS) stream.fill(args[buffer], BITS.code, 1, 0);
      else stream.fill(args[buffer], args[dtype], 1, 77);
    },
  });
}

const dlopen = process.dlopen;
process.dlopen = (module, file, ...rest) => {
  dlopen.call(process, module, file, ...rest);
  if (!file.endsWith('cuda_batchnorm.node')) return;
  const native = module.exports;
  const open = native.device;
  native.device = (name) => {
    const device = open(name);
    sabotage(device);
    return device;
  };
};
