/** Which backend TensorFlow.js computes the other layers on. */

import * as tf from '@tensorflow/tfjs';

/** WebAssembly where its package is installed and works, else plain JavaScript. Returns the name of what is in use. */
export async function chooseBackend(): Promise<string> {
  tf.enableProdMode(); // spares the checks, and the advice to install another package
  try {
    require('@tensorflow/tfjs-backend-wasm');
    if (await tf.setBackend('wasm')) return 'wasm';
  } catch {
    // not installed: the plain backend does the same, more slowly
  }
  await tf.setBackend('cpu');
  return 'cpu';
}
