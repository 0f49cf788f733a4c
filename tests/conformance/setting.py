"""Where a cell is trained: in which of its processes, how the model is wrapped there, and where checkpoints go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.conformance.cells import Cell
from tests.conformance.problem import Classifier, make_model


class NotRunnableHereError(Exception):
    """What the cell needs is not on this machine, as was just seen."""


@dataclass(frozen=True)
class Setting:
    """`folder` is empty at first, and the same for all processes."""

    cell: Cell
    rank: int
    folder: Path

    @property
    def sync(self) -> Literal["global", "local"]:
        return "local" if self.cell.layout == "DDP local" else "global"

    def model(self, resuming: bool = False) -> Classifier:
        """The model that training begins with; or one with other weights, which a checkpoint has to replace."""
        return make_model(self.cell.precision, seed=8 if resuming else 7)

    def wrapped(self, model: Classifier) -> nn.Module:
        """The model as its user hands it to a loop: bare, replicated, or with every layer in shards of its own."""
        if self.cell.layout == "one process":
            return model
        return sharded(model) if self.cell.layout == "FSDP2" else DistributedDataParallel(model)


def sharded(model: Classifier) -> Classifier:
    for module in (model.embedding, model.head, model):
        fully_shard(module)
    return model


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The whole weights by their names in `Classifier`, whatever the model is wrapped in."""
    return {
        ".".join(name.split(".")[-2:]): (param.full_tensor() if hasattr(param, "full_tensor") else param)
        .detach()
        .clone()
        for name, param in model.named_parameters()
    }
