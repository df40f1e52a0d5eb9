"""Training output of PyTorch's batch norm. Usage: pytorch.py N C H W, with N·C·H·W float32 values on standard input; writes the
output, computed channels first and then channels last, to standard output, both as [N, C, H, W]."""

import sys

import numpy
import torch

shape = tuple(map(int, sys.argv[1:]))
values = numpy.frombuffer(sys.stdin.buffer.read(), dtype=numpy.float32).reshape(shape)
for memory_format in (torch.contiguous_format, torch.channels_last):
    batch = torch.from_numpy(values.copy()).contiguous(memory_format=memory_format)
    output = torch.nn.functional.batch_norm(batch, None, None, training=True)
    sys.stdout.buffer.write(output.contiguous().numpy().tobytes())
