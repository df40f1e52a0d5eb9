"""Answers batch norm problems with PyTorch in float64: reads a list of them as JSON from stdin, writes the results to stdout."""

import json
import sys

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": F.relu,
    "leakyRelu": F.leaky_relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
}


def tensor(values, grad=False):
    return None if values is None else torch.tensor(values, dtype=torch.float64, requires_grad=grad)


def answer(problem):
    x = tensor(problem["x"], grad=True)
    weight = tensor(problem["weight"], grad=True)
    bias = tensor(problem["bias"], grad=True)
    residual = tensor(problem["residual"], grad=True)
    mean = tensor(problem["runningMean"])
    variance = tensor(problem["runningVar"])
    shaped = x.view(problem["shape"]).movedim(problem["axis"], 1)
    z = F.batch_norm(
        shaped,
        mean,
        variance,
        weight,
        bias,
        training=problem["training"],
        momentum=problem["momentum"],
        eps=problem["eps"],
    ).movedim(1, problem["axis"])
    if residual is not None:
        z = z + residual.view(problem["shape"])
    y = ACTIVATIONS[problem["activation"]](z)
    y.backward(tensor(problem["dy"]).view(problem["shape"]))

    def gradient(leaf):
        return None if leaf is None else leaf.grad.flatten().tolist()

    return {
        "output": y.detach().flatten().tolist(),
        "runningMean": mean.tolist(),
        "runningVar": variance.tolist(),
        "gradients": {
            "input": gradient(x),
            "weight": gradient(weight),
            "bias": gradient(bias),
            "residual": gradient(residual),
        },
    }


json.dump({"version": torch.__version__, "answers": [answer(problem) for problem in json.load(sys.stdin)]}, sys.stdout)
