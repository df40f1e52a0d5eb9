/** TensorFlow.js is an optional peer dependency: this comes before every other import of it, to say so where it is missing. */

try {
  require.resolve('@tensorflow/tfjs');
} catch (cause) {
  const message =
    "cuda-batchnorm/tfjs needs TensorFlow.js, which was not found here. Install it beside this package: 'npm install @tensorflow/tfjs'";
  throw Object.assign(new Error(message, { cause }), { code: 'MODULE_NOT_FOUND' });
}
