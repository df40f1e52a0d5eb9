import { requirePeer } from '../../peer';

requirePeer('@bufbuild/protobuf', 'onnx', 'a reader of protocol buffers');
