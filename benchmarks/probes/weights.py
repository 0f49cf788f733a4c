"""The weights that runs end with, kept in the user's cache: a record has none, and training again takes its time."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.cache import built_once, cache_root, file_digest
from benchmarks.checkpoint import reshard
from benchmarks.probes.record import fingerprint
from benchmarks.processes import Processes
from benchmarks.record import Record

_FILE = "model.safetensors"


def weights_folder(record: Record) -> Path:
    """Where the weights of `record` are, once they are kept."""
    return cache_root() / f"weights-{record.benchmark}-{record.method}-{record.seed}-{fingerprint(record)}"


def keep_weights(record: Record, model: nn.Module, processes: Processes) -> None:
    """Keep the weights of the model that `record` scored; every process of the run has to call this."""
    weights = whole(model)
    if processes.is_first:
        keep(record, lambda: weights)


def keep(record: Record, make: Callable[[], Mapping[str, Tensor]]) -> None:
    """Keep what `make` returns as the weights of `record`, unless they are kept.

    Of several processes one makes them, and the others wait.
    """

    def build(folder: Path) -> None:
        save_file(dict(make()), folder / _FILE)

    built_once(weights_folder(record), build)


def kept(record: Record) -> tuple[dict[str, Tensor], str]:
    """The weights of `record`, and a digest of their file."""
    path = weights_folder(record) / _FILE
    return load_file(path), file_digest(path)


@torch.no_grad()
def whole(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers in the CPU's memory, gathered where they are sharded.

    Every process of a sharded model has to ask, since every one has a part.
    """
    reshard(model)
    return {
        name: _gathered(tensor).detach().to("cpu", copy=True).contiguous()
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    }


def _gathered(tensor: Tensor) -> Tensor:
    """All of a DTensor, a class that takes seconds to import where no tensor is one."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()
