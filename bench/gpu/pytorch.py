"""Times PyTorch's batch norm on a GPU, by the rules of clock.ts. Usage: pytorch.py DEVICE FLUSH_BYTES

The first line written is a JSON object about this PyTorch, or {error}. Then every line read is a request, a JSON object whose `kind` names
one of the functions at the end of this file, and every line written its answer. Times are in seconds; whatever cannot be done has an `error`.
On the CPU, which is there to rehearse, the same is timed by the clock of the process."""

import gc
import json
import math
import sys
import time

EPS = 1e-5
MOMENTUM = 0.1
PERIOD = 1_000_000
SEEDS = {"input": 1, "gradient": 2, "residual": 3, "parameters": 4}
WARMING = 2
MARGIN = 2
MOST_WRITES = 200

try:
    import torch

    import numpy
except ImportError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit()


class GpuClock:
    def __init__(self, flush_bytes):
        self.buffer = torch.empty(flush_bytes // 4, device="cuda")
        self.write(2)
        self.write_seconds = self.between(lambda: self.write(4)) / 4

    def write(self, times):
        for _ in range(times):
            self.buffer.fill_(0)

    def between(self, work):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
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


class RehearsalClock:
    def between(self, work):
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def cover(self, call, calls):
        call()

    def synchronize(self):
        pass


def repeat(call, times):
    for _ in range(times):
        call()


def cold(call):
    clock.cover(call, 1)
    return clock.between(call)


def warm(call, calls):
    clock.cover(call, WARMING + calls)
    repeat(call, WARMING)
    return clock.between(lambda: repeat(call, calls)) / calls


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


def open_operation(operation, problem, functions):
    """The call that is timed. What has to be compiled is compiled when this returns."""
    function = functions["inference" if operation == "inference" else "training"]
    arguments = problem.arguments()
    if operation == "inference":

        def call():
            with torch.no_grad():
                function(*arguments)

    elif operation == "trainingForward":

        def call():
            function(*arguments)

    else:
        output = function(*arguments)

        def call():
            torch.autograd.grad(output, problem.leaves, problem.gradient, retain_graph=True)

    call()
    clock.synchronize()
    return call


def samples(call, rounds, calls):
    times = {"cold": [], "warm": []}
    for _ in range(rounds):
        times["cold"].append(cold(call))
        times["warm"].append(warm(call, calls))
    return times


def attempt(work):
    try:
        return work()
    except Exception as error:  # compilers fail in many ways
        return {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}


def first_values(problem):
    def first(tensor):
        in_memory = tensor.movedim(1, -1) if problem.last else tensor
        return in_memory.detach().reshape(-1)[:8].float().cpu().tolist()

    output = training(*problem.arguments())
    (gradient,) = torch.autograd.grad(output, [problem.x], problem.gradient)
    return {"output": first(output), "gradient": first(gradient)}


def problem(request):
    """{shape, layout, dtype, fused, operations: {name: calls back to back}, rounds, compile}: cold and warm times of each operation, and
    how long it took to compile them; `first`: the first values of an output and of its gradient."""
    opened = Problem(request["shape"], request["layout"], request["dtype"], request["fused"])

    def measure(functions, opening):
        def one(operation, calls):
            start = time.perf_counter()
            try:
                call = open_operation(operation, opened, functions)
            finally:
                opening.append(time.perf_counter() - start)
            return samples(call, request["rounds"], calls)

        return {operation: attempt(lambda: one(operation, calls)) for operation, calls in request["operations"].items()}

    result = {"first": first_values(opened), "eager": measure(EAGER, [])}
    if request["compile"]:
        opening = []
        result["compile"] = measure(compile_all(), opening)
        result["compileSeconds"] = sum(opening)
    return result


def step(request):
    """{layers: [{shape, fused}], layout, dtype, rounds}: times of all layers forward, then backward in the reverse order, on the GPU alone;
    `pipelined` is the time per step of some on end by the clock of the process, with the time for queueing them."""
    problems = [Problem(layer["shape"], request["layout"], request["dtype"], layer["fused"]) for layer in request["layers"]]

    def call():
        outputs = [training(*one.arguments()) for one in problems]
        while outputs:
            one = problems[len(outputs) - 1]
            torch.autograd.grad(outputs.pop(), one.leaves, one.gradient)

    call()
    return {"seconds": [cold(call) for _ in range(request["rounds"])], "pipelined": [per_call(call, 3) for _ in range(request["rounds"])]}


def calls(request):
    """{shape, rounds, calls}: seconds per call of some on end, by the clock of the process."""
    opened = Problem(request["shape"], "channels first", "float32", "none")
    return {
        operation: [per_call(open_operation(operation, opened, EAGER), request["calls"]) for _ in range(request["rounds"])]
        for operation in ("trainingForward", "backward")
    }


def per_call(call, calls):
    call()
    clock.synchronize()
    start = time.perf_counter()
    repeat(call, calls)
    clock.synchronize()
    return (time.perf_counter() - start) / calls


KINDS = {"problem": problem, "step": step, "calls": calls}


def answer(request):
    result = attempt(lambda: KINDS[request["kind"]](request))
    if request.get("compile"):
        gc.collect()  # only what was compiled is held in circles, and looking for them takes long
    if device == "cuda":
        torch.cuda.empty_cache()
    return result


def describe():
    # So that the backward of a compiled function can be done again and again.
    functorch = __import__("torch._functorch.config", fromlist=["config"])
    if hasattr(functorch, "donated_buffer"):
        functorch.donated_buffer = False
    cudnn = torch.backends.cudnn
    return {
        "version": torch.__version__,
        "cudnn": cudnn.version() if device == "cuda" and cudnn.is_available() else None,
        "sample": [float(blocks["input"][index].cpu()) for index in (0, 1, PERIOD - 1)],
    }


def start():
    global device, clock, blocks
    device = sys.argv[1]
    if device == "cuda" and not torch.cuda.is_available():
        return {"error": "torch.cuda.is_available() is false"}
    clock = GpuClock(int(sys.argv[2])) if device == "cuda" else RehearsalClock()
    blocks = {name: torch.from_numpy(random_values(seed)).to(device) for name, seed in SEEDS.items()}
    return describe()


first = attempt(start)
print(json.dumps(first), flush=True)
if "error" not in first:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
