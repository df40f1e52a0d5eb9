/** Exchanging the batch normalization of a model: theirs for ours, and back. */

import * as tf from '@tensorflow/tfjs';
import { BatchNormError } from '../errors';
import { BatchNormalization } from './layer';

interface LayerJson {
  class_name: string;
  config: Record<string, unknown>;
}

const THEIRS = 'BatchNormalization';
const OURS = BatchNormalization.className;

function isLayerOf(className: string, json: object): json is LayerJson {
  return 'class_name' in json && json.class_name === className && 'config' in json;
}

/** The same tree with every layer of that class changed, those inside of wrappers and inner models too. */
function mapLayers(json: unknown, className: string, change: (layer: LayerJson) => LayerJson): unknown {
  if (Array.isArray(json)) return json.map((item) => mapLayers(item, className, change));
  if (typeof json !== 'object' || json === null) return json;
  if (isLayerOf(className, json)) return change(json);
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, mapLayers(value, className, change)]));
}

async function rebuild(model: tf.LayersModel, className: string, change: (layer: LayerJson) => LayerJson): Promise<tf.LayersModel> {
  let artifacts: tf.io.ModelArtifacts = {};
  const keep = tf.io.withSaveHandler(async (saved) => {
    artifacts = saved;
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(saved) };
  });
  await model.save(keep);
  const modelTopology = mapLayers(artifacts.modelTopology, className, change) as object;
  return tf.loadLayersModel(tf.io.fromMemory({ ...artifacts, modelTopology }));
}

/**
 * A copy of the model in which every `tf.layers.batchNormalization` is a {@link BatchNormalization} with the same configuration and weights.
 * The given model stays as it is; dispose of it when it is no longer needed. The copy has to be compiled before it is trained.
 */
export function replaceBatchNormalization(model: tf.LayersModel): Promise<tf.LayersModel> {
  return rebuild(model, THEIRS, (layer) => ({ ...layer, class_name: OURS }));
}

/**
 * The way back: a copy of the model that needs nothing but TensorFlow.js, for a browser, say.
 * Throws ERR_INVALID_ARGUMENT where a layer has an activation of its own, which `tf.layers.batchNormalization` cannot express.
 */
export function restoreBatchNormalization(model: tf.LayersModel): Promise<tf.LayersModel> {
  return rebuild(model, OURS, ({ config, ...layer }) => {
    const { activation, ...rest } = config;
    if (activation !== 'identity') {
      const message = `Expected activation 'identity' for layer '${config.name}' but received '${activation}' of type string: use a tf.layers.activation layer behind it`;
      throw new BatchNormError('ERR_INVALID_ARGUMENT', message);
    }
    return { ...layer, class_name: THEIRS, config: rest };
  });
}
