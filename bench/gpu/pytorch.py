"""Times PyTorch's batch norm on a GPU, by the rules of clock.ts. Usage: pytorch.py DEVICE FLUSH_BYTES

The first line written is a JSON object about this PyTorch, or {error}. Then every line read is a request, a JSON object whose `kind` names
one of KINDS, and every line written its answer, with the `id` of the request. Times are in seconds; whatever cannot be done has an `error`. On the CPU, which is there to
rehearse, the same is timed by the clock of the process."""

import gc
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version

sys.dont_write_bytecode = True

# What libraries print goes to stderr: on stdout it would pass for an answer.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(answer):
    print(json.dumps(answer), file=answers, flush=True)


try:
    import torch

    from pytorch_clock import GpuClock, RehearsalClock
    from pytorch_layer import EAGER, PERIOD, Problem, blocks, compile_all, make_blocks, training
except ImportError as error:
    say({"error": str(error)})
    sys.exit()


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
    clock.wake()
    times = {"cold": [], "warm": []}
    for _ in range(rounds):
        times["cold"].append(clock.cold(call))
        times["warm"].append(clock.warm(call, calls))
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
    clock.wake()
    return {"seconds": [clock.cold(call) for _ in range(request["rounds"])], "pipelined": [clock.per_call(call, 3) for _ in range(request["rounds"])]}


def calls(request):
    """{shape, rounds, calls}: seconds per call of some on end, by the clock of the process."""
    opened = Problem(request["shape"], "channels first", "float32", "none")
    return {
        operation: [clock.per_call(open_operation(operation, opened, EAGER), request["calls"]) for _ in range(request["rounds"])]
        for operation in ("trainingForward", "backward")
    }


KINDS = {"problem": problem, "step": step, "calls": calls}


def answer(request):
    result = attempt(lambda: KINDS[request["kind"]](request))
    if request.get("compile"):
        gc.collect()  # only what was compiled is held in circles, and looking for them takes long
    if device == "cuda":
        torch.cuda.empty_cache()
    return result


def triton_version():
    try:
        return version("triton")
    except PackageNotFoundError:
        return None


def describe():
    # So that the backward of a compiled function can be done again and again.
    functorch = __import__("torch._functorch.config", fromlist=["config"])
    if hasattr(functorch, "donated_buffer"):
        functorch.donated_buffer = False
    cudnn = torch.backends.cudnn
    return {
        "version": torch.__version__,
        "cudnn": cudnn.version() if device == "cuda" and cudnn.is_available() else None,
        "cuda": torch.version.cuda,
        "triton": triton_version(),
        "sample": [float(blocks["input"][index].cpu()) for index in (0, 1, PERIOD - 1)],
    }


def start():
    global device, clock
    device = sys.argv[1]
    if device == "cuda" and not torch.cuda.is_available():
        return {"error": "torch.cuda.is_available() is false"}
    clock = GpuClock(int(sys.argv[2])) if device == "cuda" else RehearsalClock()
    make_blocks(device)
    return describe()


first = attempt(start)
say(first)
if "error" not in first:
    for line in sys.stdin:
        request = json.loads(line)
        say({"id": request["id"], **answer(request)})
