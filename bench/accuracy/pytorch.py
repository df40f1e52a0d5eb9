"""Training steps of PyTorch's batch norm, forward and backward. The first line written is a JSON object about this PyTorch. Then every
line read is a step, {device, dtype, layout, shape, x, dy}, and every line written its result, {output, dx, dγ, dβ}: values in float32,
little-endian, in base64, tensors in the order of [N, C, H, W]; or {error} where PyTorch refuses."""

import base64
import json
import sys

import numpy
import torch

LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}


def describe():
    cuda = None
    if torch.cuda.is_available():
        cuda = {
            "device": torch.cuda.get_device_name(0),
            "cudnn": torch.backends.cudnn.is_available() and torch.backends.cudnn.enabled,
            "cudnnVersion": torch.backends.cudnn.version(),
        }
    return {"version": torch.__version__, "threads": torch.get_num_threads(), "cuda": cuda}


def encode(tensor):
    return base64.b64encode(tensor.detach().float().contiguous().cpu().numpy().tobytes()).decode()


def step(request):
    device = request["device"]

    def decode(text):
        values = numpy.frombuffer(base64.b64decode(text), dtype=numpy.float32).copy()
        tensor = torch.from_numpy(values).reshape(request["shape"]).to(device, getattr(torch, request["dtype"]))
        return tensor.contiguous(memory_format=LAYOUTS[request["layout"]])

    x = decode(request["x"]).requires_grad_()
    weight = torch.ones(x.shape[1], device=device, requires_grad=True)
    bias = torch.zeros(x.shape[1], device=device, requires_grad=True)
    output = torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    output.backward(decode(request["dy"]))
    return {"output": encode(output), "dx": encode(x.grad), "dγ": encode(weight.grad), "dβ": encode(bias.grad)}


def answer(line):
    try:
        return step(json.loads(line))
    except RuntimeError as error:
        return {"error": str(error)}


print(json.dumps(describe()), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(line)), flush=True)
