"""Whether this machine can carry out a run, asked before anything is loaded: loud, early, with what to do instead."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.errors import RunError
from benchmarks.execution import Execution
from benchmarks.row import Benchmark, Needs, Recipe
from tram import Method, PastWeights

GIB = 2**30
# Of CUDA itself, of the allocator's rounding and of the libraries' workspaces.
OVERHEAD_BYTES = 2 * GIB


@dataclass(frozen=True)
class Machine:
    """What of a device decides whether a run fits."""

    device: torch.device
    memory_bytes: int
    """Free on the GPU."""
    has_bfloat16: bool


def machine(device: torch.device, name: str) -> Machine:
    """The machine with that device. Raises RunError where there is none."""
    if device.type != "cuda":
        return Machine(device, 0, True)
    if not torch.cuda.is_available():
        raise RunError(f"{name} takes a GPU, and torch finds none here. --device cpu runs it all the same, for weeks.")
    if device.index >= torch.cuda.device_count():
        raise RunError(
            f"process {device.index} of this machine has no GPU: there are {torch.cuda.device_count()}. "
            "Start as many processes as GPUs."
        )
    free, _ = torch.cuda.mem_get_info(device)
    return Machine(device, free, torch.cuda.is_bf16_supported(including_emulation=False))


def device_for(row: Benchmark, execution: Execution) -> torch.device:
    """The one that is asked for, else a GPU where the benchmark needs one."""
    kind = execution.device or ("cpu" if row.needs is None else "cuda")
    return torch.device("cuda", execution.processes.local) if kind == "cuda" else torch.device(kind)


def check_machine(
    row: Benchmark,
    recipe: Recipe,
    method: Method,
    execution: Execution,
    here: Machine,
    results: Path,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> None:
    """Raise RunError where the batch does not divide, the precision is missing, or memory or disk cannot do."""
    count = execution.processes.count
    if recipe.batch_size % (count * recipe.micro_batches):
        raise RunError(
            f"{row.name}: a batch of {recipe.batch_size} does not divide among {count} processes "
            f"with {recipe.micro_batches} micro-batches each"
        )
    if recipe.keep_reference and not _keeps_logits(method):
        raise RunError("--keep-reference is for TRAM-pre: only a reference at the first weights stays what it is")
    if recipe.precision == "float16" and count > 1 and execution.processes.parallel == "fsdp2":
        raise RunError(f"{row.name}: loss scaling does not see what overflows in another shard. Take --parallel ddp.")
    if here.device.type == "cuda" and recipe.precision == "bfloat16" and not here.has_bfloat16:
        raise RunError(f"{row.name}: this GPU has no bfloat16. --precision float16 runs it with loss scaling.")
    if row.needs is None:
        return
    if here.device.type == "cuda":
        _check_memory(row, recipe, method, execution, here)
    wanted = 3 * checkpoint_bytes(row.needs, method)
    if recipe.steps and free_bytes(results) < wanted:
        raise RunError(
            f"{row.name}: {free_bytes(results) / GIB:.0f} GiB are free at {results}, and three checkpoints (two, and "
            f"the one being written) take {wanted / GIB:.0f}. Make space or name another folder with --results."
        )


def _check_memory(row: Benchmark, recipe: Recipe, method: Method, execution: Execution, here: Machine) -> None:
    needed = memory_bytes(row, recipe, method, execution)
    if needed <= here.memory_bytes:
        return
    share = recipe.batch_size // execution.processes.count
    for pieces in (count for count in range(recipe.micro_batches + 1, share + 1) if share % count == 0):
        less = Execution(processes=execution.processes, micro_batches=pieces).fitted(recipe)
        if memory_bytes(row, less, method, execution) <= here.memory_bytes:
            advice = f"--micro-batches {pieces} computes the same in parts that fit."
            break
    else:
        advice = "Share it between GPUs: torchrun --nproc-per-node 4 -m benchmarks run ... --parallel fsdp2."
    raise RunError(
        f"{row.name}: needs about {needed / GIB:.0f} GiB of GPU memory; {here.memory_bytes / GIB:.0f} are free here. "
        + advice
    )


def memory_bytes(row: Benchmark, recipe: Recipe, method: Method, execution: Execution) -> float:
    """An estimate of the peak on one GPU: weights, gradients, optimizer, the method's copies, one micro-batch.

    Sharding divides all but the micro-batch; replicas hold the gradients once more, to exchange them. Scoring keeps
    nothing for a backward pass: a batch of it needs no more than a micro-batch.
    """
    assert row.needs is not None
    several = execution.processes.are_many
    shards = execution.processes.count if several and execution.processes.parallel == "fsdp2" else 1
    buckets = several and execution.processes.parallel == "ddp"
    per_parameter = 4 * (2 + buckets + _optimizer_copies(recipe) + _weight_copies(method))
    examples = recipe.batch_size / execution.processes.count / recipe.micro_batches
    return row.needs.parameters * per_parameter / shards + examples * row.needs.activation_bytes + OVERHEAD_BYTES


def checkpoint_bytes(needs: Needs, method: Method) -> float:
    """Weights, the best weights so far, Adam's two moments and the reference, four bytes each."""
    return 4 * needs.parameters * (4 + (1 if _has_past(method) else 0))


def _optimizer_copies(recipe: Recipe) -> int:
    return 2 if recipe.base_optimizer == "Adam" else 1


def _weight_copies(method: Method) -> int:
    """The backup of an ascent and the reference, which are one where the reference is the previous step."""
    reference = method.trust_region.reference if method.trust_region is not None else None
    is_backup = method.ascent is not None and isinstance(reference, PastWeights) and reference.decay == 0
    return (method.ascent is not None) + (_has_past(method) and not is_backup)


def _has_past(method: Method) -> bool:
    return method.trust_region is not None and isinstance(method.trust_region.reference, PastWeights)


def _keeps_logits(method: Method) -> bool:
    reference = method.trust_region.reference if method.trust_region is not None else None
    return isinstance(reference, PastWeights) and reference.decay == 1 and reference.dropout == "off"
