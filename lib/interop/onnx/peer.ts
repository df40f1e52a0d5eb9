/** The reader of protocol buffers is an optional peer dependency: this comes before every other import of it, to say so where it is missing. */

try {
  require.resolve('@bufbuild/protobuf');
} catch (cause) {
  const message =
    "cuda-batchnorm/onnx needs a reader of protocol buffers, which was not found here. Install it beside this package: 'npm install @bufbuild/protobuf'";
  throw Object.assign(new Error(message, { cause }), { code: 'MODULE_NOT_FOUND' });
}
