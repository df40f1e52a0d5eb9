"""What pytorch.py times: batch norm with what can follow it, on the numbers of inputs.ts."""

import math

import torch

import numpy

EPS = 1e-5
MOMENTUM = 0.1
PERIOD = 1_000_000
SEEDS = {"input": 1, "gradient": 2, "residual": 3, "parameters": 4}

blocks = {}


def make_blocks(device):
    blocks.update({name: torch.from_numpy(random_values(seed)).to(device) for name, seed in SEEDS.items()})


def random_values(seed):
    """The linear congruential generator of data.ts, all steps at once."""
    powers = numpy.multiply.accumulate(numpy.full(PERIOD, 1664525, numpy.uint32), dtype=numpy.uint32)
    sums = numpy.add.accumulate(numpy.concatenate(([1], powers[:-1])).astype(numpy.uint32), dtype=numpy.uint32)
    states = powers * numpy.uint32(seed) + numpy.uint32(1013904223) * sums
    return ((states / 2**32 - 0.5) * math.sqrt(12)).astype(numpy.float32)


class Problem:
    """One layer with its tensors, as inputs.ts makes them."""

    def __init__(self, shape, layout, dtype, fused):
        self.last = layout == "channels last"
        self.x = self.tensor("input", shape, layout, dtype).requires_grad_()
        self.gradient = self.tensor("gradient", shape, layout, dtype)
        self.residual = self.tensor("residual", shape, layout, dtype).requires_grad_() if fused == "add+relu" else None
        parameters = blocks["parameters"][: 4 * shape[1]].float().reshape(4, shape[1])
        self.weight, self.bias, self.mean, spread = (parameters[i].clone() for i in range(4))
        self.variance = 1 + spread * spread
        self.weight.requires_grad_()
        self.bias.requires_grad_()
        self.relu = fused != "none"
        self.leaves = [one for one in (self.x, self.weight, self.bias, self.residual) if one is not None]

    @staticmethod
    def tensor(name, shape, layout, dtype):
        last = layout == "channels last"
        in_memory = [shape[0], *shape[2:], shape[1]] if last else shape
        count = math.prod(shape)
        values = blocks[name].to(getattr(torch, dtype)).repeat(math.ceil(count / PERIOD))[:count].clone().reshape(in_memory)
        return values.movedim(-1, 1) if last else values

    def arguments(self):
        return self.x, self.mean, self.variance, self.weight, self.bias, self.residual, self.relu


def batch_norm(training, x, mean, variance, weight, bias, residual, relu):
    y = torch.nn.functional.batch_norm(x, mean, variance, weight, bias, training, MOMENTUM, EPS)
    if residual is not None:
        y = y.add_(residual)
    return torch.nn.functional.relu(y, inplace=True) if relu else y


def training(*arguments):
    return batch_norm(True, *arguments)


def inference(*arguments):
    return batch_norm(False, *arguments)


EAGER = {"training": training, "inference": inference}


def compile_all():
    torch._dynamo.reset()  # or it stops compiling one function for ever new shapes
    return {"training": torch.compile(training, dynamic=False), "inference": torch.compile(inference, dynamic=False)}
