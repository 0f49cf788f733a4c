"""The processes that share one run: started by torchrun or by srun, one for each GPU, or just this one.

Nothing here imports torch at the top, so that a command can ask for its rank before it decides what to load.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from benchmarks.errors import RunError

Parallel = Literal["ddp", "fsdp2"]

PORTS = range(29_500, 49_500)


@dataclass(frozen=True)
class Processes:
    """This process among those of the run: `rank` of `count`, on GPU `local` of those that it sees; `parallel` is how
    they share the run."""

    rank: int = 0
    count: int = 1
    local: int = 0
    parallel: Parallel = "ddp"

    @property
    def is_first(self) -> bool:
        """Whether this process speaks, writes records and removes files."""
        return self.rank == 0

    @property
    def are_many(self) -> bool:
        return self.count > 1


def processes(parallel: Parallel = "ddp") -> Processes:
    """As the environment tells: torchrun's RANK, WORLD_SIZE and LOCAL_RANK, or those of a Slurm step of several tasks.

    A batch script or an interactive allocation is not a step: there one process runs, whatever was allocated.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if all(name in os.environ for name in names):
        rank, count, local = (int(os.environ[name]) for name in names)
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        rank, count = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_STEP_NUM_TASKS"])
        # Of a task that sees one GPU only, as with --gpus-per-task=1, that GPU is the first.
        sees_one = "," not in os.environ.get("CUDA_VISIBLE_DEVICES", ",")
        local = 0 if sees_one else int(os.environ["SLURM_LOCALID"])
        os.environ.setdefault("MASTER_ADDR", first_host(os.environ["SLURM_STEP_NODELIST"]))
        # Every process of the step derives the same port; two steps of one machine rarely the same one.
        step = int(os.environ["SLURM_JOB_ID"]) * 31 + int(os.environ["SLURM_STEP_ID"])
        os.environ.setdefault("MASTER_PORT", str(PORTS[step % len(PORTS)]))
    else:
        rank, count, local = 0, 1, 0
    return Processes(rank, count, local, parallel)


def first_host(nodes: str) -> str:
    """The first of a list of hosts as Slurm writes it: `node[003-005,9],other` is `node003`."""
    match = re.match(r"([^,\[]+)(?:\[(\d+))?", nodes)
    if match is None:
        raise RunError(f"SLURM_STEP_NODELIST is {nodes!r}, which names no host")
    return match[1] + (match[2] or "")


@contextmanager
def joined(these: Processes, on_gpu: bool) -> Iterator[None]:
    """The process group of the run, as long as the context lasts: NCCL on GPUs, Gloo otherwise."""
    if not these.are_many:
        yield
        return
    import torch.distributed as dist

    dist.init_process_group(
        # Checkpoints agree on the CPU, gradients where the model is.
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        init_method="env://",
        rank=these.rank,
        world_size=these.count,
    )
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in ("gloo", "NCCL", "Connection")):
            raise
        raise RunError(
            f"process {these.rank} lost the others ({str(error).splitlines()[0][:120]}): one of them ended, or the "
            "network did. The same command goes on from the last checkpoint"
        ) from error
    finally:
        dist.destroy_process_group()
