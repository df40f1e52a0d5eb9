/** Saving and loading models as files, which TensorFlow.js without tfjs-node cannot do. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';

const MODEL = 'model.json';
const WEIGHTS = 'weights.bin';

/**
 * For `model.save()` and `tf.loadLayersModel()`: a folder with `model.json` and `weights.bin`, in the format that `file://` of tfjs-node and
 * `tf.loadLayersModel(url)` in a browser read. The folder is made where it is missing; a model in it is replaced.
 */
export function fileSystem(folder: string): tf.io.IOHandler {
  return { save: (artifacts) => save(folder, artifacts), load: () => load(folder) };
}

async function save(folder: string, { weightData, weightSpecs, ...rest }: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
  const manifest: tf.io.WeightsManifestConfig = [{ paths: [WEIGHTS], weights: weightSpecs ?? [] }];
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, WEIGHTS), new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)));
  await writeFile(join(folder, MODEL), JSON.stringify({ ...rest, weightsManifest: manifest }));
  return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON({ ...rest, weightData, weightSpecs } as tf.io.ModelArtifacts) };
}

async function load(folder: string): Promise<tf.io.ModelArtifacts> {
  const json = JSON.parse(await readFile(join(folder, MODEL), 'utf8')) as tf.io.ModelJSON;
  return tf.io.getModelArtifactsForJSON(json, async (manifest) => {
    const parts = await Promise.all(manifest.flatMap(({ paths }) => paths).map((path) => readFile(join(folder, path))));
    const bytes = new Uint8Array(Buffer.concat(parts)); // a copy with a buffer of its own, from its beginning
    return [tf.io.getWeightSpecs(manifest), bytes.buffer];
  });
}
