"""The clocks of pytorch.py: clock.ts in Python, and one to rehearse with where there is no GPU."""

import math
import time

import torch

WARMING = 2
MARGIN = 2
MOST_WRITES = 200
WAKING_WRITES = 300
WAKING_SECONDS = 0.1
# How soon after work the clocks are still up; to wake the GPU for each operation would take longer than to measure it.
AWAKE_SECONDS = 0.02


def repeat(call, times):
    for _ in range(times):
        call()


class Clock:
    def cold(self, call):
        self.cover(call, 1)
        return self.between(call)

    def warm(self, call, calls):
        self.cover(call, WARMING + calls)
        repeat(call, WARMING)
        return self.between(lambda: repeat(call, calls)) / calls

    def per_call(self, call, calls):
        """Of some calls on end, until their work is done, by the clock of the process."""
        call()
        self.synchronize()
        start = time.perf_counter()
        repeat(call, calls)
        self.synchronize()
        return (time.perf_counter() - start) / calls


class GpuClock(Clock):
    def __init__(self, flush_bytes):
        self.buffer = torch.empty(flush_bytes // 4, device="cuda")
        self.write(WAKING_WRITES)
        self.write_seconds = min(self.between(lambda: self.write(4)) / 4 for _ in range(5))

    def wake(self):
        """Keeps the GPU busy until its clocks are up: one that had nothing to do has lowered them."""
        start = time.perf_counter()
        if start - self.busy < AWAKE_SECONDS:
            return
        while time.perf_counter() - start < WAKING_SECONDS:
            self.write(math.ceil(WAKING_SECONDS / self.write_seconds / 10))
            self.synchronize()

    def write(self, times):
        for _ in range(times):
            self.buffer.fill_(0)

    def between(self, work):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        self.busy = time.perf_counter()
        return start.elapsed_time(end) / 1e3

    def cover(self, call, calls):
        """Gives the GPU something to do until as many calls are queued."""
        start = time.perf_counter()
        call()
        seconds = (time.perf_counter() - start) * calls
        self.synchronize()
        self.write(min(MOST_WRITES, max(1, math.ceil(MARGIN * seconds / self.write_seconds))))

    def synchronize(self):
        torch.cuda.synchronize()


class RehearsalClock(Clock):
    def wake(self):
        pass

    def between(self, work):
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def cover(self, call, calls):
        call()

    def synchronize(self):
        pass
