/** Files that are taken for safetensors and are something else: what they are, and the way from there. */

const CONVERT = "convert it in Python: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')";

/** Says in words what a file with these first bytes is; undefined where that cannot be told. */
export function recognize(bytes: Uint8Array): string | undefined {
  const starts = (...wanted: number[]) => wanted.every((byte, i) => bytes[i] === byte);
  if (starts(0x50, 0x4b, 3, 4)) return `it is a zip archive, as torch.save writes it: ${CONVERT}`;
  if (bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5) return `it is a Python pickle, as torch.save once wrote it: ${CONVERT}`;
  if (starts(0x89, 0x48, 0x44, 0x46)) return 'it is an HDF5 file, as Keras writes it';
  if (Buffer.from(bytes).toString('latin1').startsWith('version '))
    return "it is the pointer of Git LFS to a file: fetch that by 'git lfs pull'";
  // A protocol buffer whose first field is a small version, followed by the producer's name or another field.
  if (bytes[0] === 8 && bytes[1]! > 0 && bytes[1]! < 64 && bytes[2] !== 0)
    return `it looks like an ONNX model: save the model it came from, and ${CONVERT}`;
  return undefined;
}
