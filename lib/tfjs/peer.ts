import { requirePeer } from '../peer';

requirePeer('@tensorflow/tfjs', 'tfjs', 'TensorFlow.js');
