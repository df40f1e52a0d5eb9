"""Times PyTorch's batch norm on the CPU. Usage: pytorch.py THREADS; helper.ts tells what it reads and writes."""

import sys
import time

import torch

EPS = 1e-5
MOMENTUM = 0.1


class Problem:
    def __init__(self, layout, shape):
        self.key = (layout, shape)
        memory_format = torch.channels_last if layout == "last" else torch.contiguous_format
        channels = shape[1]
        self.input = torch.randn(shape).contiguous(memory_format=memory_format)
        self.gradient = torch.randn(shape).contiguous(memory_format=memory_format)
        self.output = torch.empty_like(self.input)
        self.weight, self.bias = torch.randn(channels), torch.randn(channels)
        self.mean, self.variance = torch.zeros(channels), torch.ones(channels)
        self.saved_mean, self.saved_inverse_deviation = torch.empty(channels), torch.empty(channels)
        self.nothing = torch.empty(0)
        self.trainingForward()

    def inference(self):
        torch.ops.aten.native_batch_norm.out(
            self.input, self.weight, self.bias, self.mean, self.variance, False, MOMENTUM, EPS,
            out=self.output, save_mean=self.nothing, save_invstd=self.nothing,
        )  # fmt: skip

    def trainingForward(self):
        torch.ops.aten.native_batch_norm.out(
            self.input, self.weight, self.bias, self.mean, self.variance, True, MOMENTUM, EPS,
            out=self.output, save_mean=self.saved_mean, save_invstd=self.saved_inverse_deviation,
        )  # fmt: skip

    def backward(self):
        torch.ops.aten.native_batch_norm_backward(
            self.gradient, self.input, self.weight, self.mean, self.variance,
            self.saved_mean, self.saved_inverse_deviation, True, EPS, [True, True, True],
        )  # fmt: skip


def seconds_per_call(call, calls):
    for _ in range((calls + 3) // 4):
        call()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_grad_enabled(False)
    print(torch.__version__, flush=True)
    problem = None
    for line in sys.stdin:
        operation, calls, layout, *shape = line.split()
        key = (layout, tuple(map(int, shape)))
        if problem is None or problem.key != key:
            problem = None  # frees the last one first
            problem = Problem(*key)
        print(seconds_per_call(getattr(problem, operation), int(calls)), flush=True)


main()
