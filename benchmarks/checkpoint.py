"""Checkpoints of a run: everything that the rest of it depends on, written whole or not at all, the last two kept.

    seed-3.checkpoint/step-00002000/rank-0.pt     one file per process, with its checksum; weights-only loading

A process of a sharded run keeps its own shards; otherwise the first keeps what all share. Random states are each
process's own.
"""

import contextlib
import hashlib
import os
import pickle
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks.errors import RunError
from benchmarks.method_fields import first_difference
from benchmarks.processes import Processes

KEPT = 2


@dataclass
class Checkpoints:
    """Those of one run, in `folder`. `identity` is what a checkpoint must have been made with to be taken up."""

    folder: Path
    identity: Mapping[str, Any]
    processes: Processes = field(default_factory=Processes)

    def latest(self) -> dict[str, Any] | None:
        """The newest state that every process can read; None where there is none.

        Raises RunError if it belongs to another run: nothing is mixed, and nothing deleted.
        """
        state = self._newest()
        if not self.processes.are_many:
            return state
        mine = 0 if state is None else int(state["shared"]["step"])
        agreed = over_all(mine, dist.ReduceOp.MIN)
        if mine != agreed:
            state = self._readable(self.folder / f"step-{agreed:08d}") if agreed else None
        if over_all(int(agreed > 0 and state is None), dist.ReduceOp.MAX):
            raise RunError(
                f"{self.folder}: no checkpoint can be read by all processes. Delete the folder to start anew."
            )
        return state if agreed else None

    def _newest(self) -> dict[str, Any] | None:
        unreadable: list[str] = []
        for step in sorted(self.folder.glob("step-*"), reverse=True):
            state = self._readable(step)
            if state is not None:
                self._check(state["identity"])
                return state
            unreadable.append(step.name)
        if unreadable:
            raise RunError(
                f"{self.folder}: no checkpoint can be read: {', '.join(unreadable)}. Delete the folder to start anew."
            )
        return None

    def save(self, step: int, shared: Mapping[str, Any]) -> None:
        """Write the state after `step`; every process calls this at the same step."""
        partial, final = self.folder / f".step-{step:08d}", self.folder / f"step-{step:08d}"
        if self.processes.is_first:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self._wait()
        state: dict[str, Any] = {"random": random_states()}
        if self.processes.is_first or self._sharded:
            state |= {"identity": dict(self.identity), "shared": local(shared)}
        _write(partial / f"rank-{self.processes.rank}.pt", state)
        self._wait()
        if self.processes.is_first:
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            for old in sorted(self.folder.glob("step-*"))[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        self._wait()

    @property
    def _sharded(self) -> bool:
        return self.processes.are_many and self.processes.parallel == "fsdp2"

    def _readable(self, step: Path) -> dict[str, Any] | None:
        """The state after a step; None where a file of it is missing or not what was written."""
        try:
            mine = _load(step / f"rank-{self.processes.rank}.pt")
            return mine if "shared" in mine else _load(step / "rank-0.pt") | mine
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError):
            return None

    def _check(self, identity: Mapping[str, Any]) -> None:
        difference = first_difference(identity, self.identity)
        if difference is not None:
            name, then, now = difference
            raise RunError(
                f"{self.folder}: made with {name} = {then}, and this run has {now}. "
                "Run it as it was begun, or delete the folder to start anew."
            )

    def _wait(self) -> None:
        if self.processes.are_many:
            dist.barrier()


def over_all(number: int, how: Any) -> int:
    """The smallest or largest of a number over the processes."""
    held = torch.tensor(number)
    dist.all_reduce(held, how)
    return int(held)


# ------------------------------------------------------------------------------------------------------ random states


def random_states() -> dict[str, Any]:
    """Of torch on the CPU and on this process's GPU, of NumPy and of Python, as tensors and plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, following = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        # Of the GPU in use: to ask the others would begin to use them.
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss],
        "python": [version, list(internal), following],
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, following = states["python"]
    random.setstate((version, tuple(internal), following))


# ------------------------------------------------------------------------------------------- weights, whole or sharded


@torch.no_grad()
def weights(model: nn.Module, device: torch.device | None = None) -> dict[str, Tensor]:
    """Copies of all parameters and buffers, this process's shards where they are sharded."""
    reshard(model)
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: _local(tensor).detach().to(device or tensor.device, copy=True) for name, tensor in named}


@torch.no_grad()
def set_weights(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put what `weights` copied back, in place."""
    reshard(model)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        _local(tensor).copy_(values[name])


def reshard(model: nn.Module) -> None:
    """Drop what FSDP gathered for a forward, which would be taken for the weights."""
    for module in model.modules():
        drop: Any = getattr(module, "reshard", None)
        if drop is not None:
            drop()


def set_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state of local shards: those of a sharded parameter become shards again."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for index, values in state["state"].items():
        for name, value in values.items():
            values[name] = _sharded_like(params[index], value)
    optimizer.load_state_dict(state)


def local(value: Any) -> Any:
    """Nested dictionaries and lists with every sharded tensor replaced by this process's shard."""
    if isinstance(value, Mapping):
        return {key: local(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [local(item) for item in value]
    return _local(value).detach() if isinstance(value, Tensor) else value


def _local(tensor: Tensor) -> Tensor:
    """The shard of a DTensor, a class that takes seconds to import where no tensor is one."""
    shard: Any = getattr(tensor, "to_local", None)
    return tensor if shard is None else shard()


def _sharded_like(param: Tensor, value: Any) -> Any:
    if not hasattr(param, "to_local") or not isinstance(value, Tensor) or value.dim() == 0:
        return value
    from torch.distributed.tensor import DTensor

    assert isinstance(param, DTensor)
    return DTensor.from_local(
        value.to(param.device),
        param.device_mesh,
        param.placements,
        run_check=False,
        shape=param.shape,
        stride=param.stride(),
    )


# --------------------------------------------------------------------------------------------------------------- files


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    # What a disk returns is not always what it was given, and torch does not look.
    path.with_suffix(".sha256").write_text(_digest(path))
    with contextlib.suppress(OSError):  # folders cannot be synced everywhere
        descriptor = os.open(path.parent, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(path: Path) -> dict[str, Any]:
    if path.with_suffix(".sha256").read_text() != _digest(path):
        raise OSError(f"{path} is not what was written")
    return torch.load(path, map_location="cpu", weights_only=True)
