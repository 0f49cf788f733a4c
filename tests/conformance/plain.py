"""`tram.backward` in a loop of one's own; checkpoints of shards by torch.distributed.checkpoint."""

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from tests.conformance.cells import Cell
from tests.conformance.loop import trained
from tests.conformance.problem import SEED, Batch, make_optimizer, make_scaler
from tests.conformance.reference import apply_gradient, forward_of
from tests.conformance.setting import Setting
from tram import TRAM


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    return trained(_Loop, cell, setting)


class _Loop:
    def __init__(self, cell: Cell, setting: Setting, resuming: bool = False) -> None:
        self.cell, self.folder = cell, setting.folder
        self.model = setting.wrapped(setting.model(resuming))
        self.optimizer = make_optimizer(cell.method, self.model)
        self.scaler = make_scaler(cell.precision)
        self.tram = TRAM(
            self.model, cell.method, scaler=self.scaler, sync=setting.sync, seed=SEED + 1 if resuming else SEED
        )
        self.own_file = self.folder / f"tram-{setting.rank}.pt"

    def step(self, micro_batches: list[Batch]) -> None:
        self.tram.backward(forward_of(self.model, self.cell.precision), *micro_batches)
        apply_gradient(self.cell, self.model, self.optimizer, self.scaler)

    def save(self) -> None:
        own = {"tram": self.tram.state_dict(), "scaler": {} if self.scaler is None else self.scaler.state_dict()}
        if self.cell.layout == "FSDP2":
            model, optimizer = get_state_dict(self.model, self.optimizer)
            dcp.save({"model": model, "optimizer": optimizer}, checkpoint_id=self.folder / "shards")
        else:
            own |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(own, self.own_file)

    def load(self) -> None:
        own = torch.load(self.own_file, weights_only=True)
        if self.cell.layout == "FSDP2":
            model, optimizer = get_state_dict(self.model, self.optimizer)
            dcp.load({"model": model, "optimizer": optimizer}, checkpoint_id=self.folder / "shards")
            set_state_dict(self.model, self.optimizer, model_state_dict=model, optim_state_dict=optimizer)
        else:
            self.model.load_state_dict(own["model"])
            self.optimizer.load_state_dict(own["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(own["scaler"])
        self.tram.load_state_dict(own["tram"])
