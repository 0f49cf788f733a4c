"""`TRAMOptimizer.step(closure)`: one object in the shape of an optimizer."""

import torch
from torch import Tensor, nn

from tests.conformance.cells import Cell
from tests.conformance.loop import trained
from tests.conformance.problem import MAX_NORM, SEED, Batch, base_optimizer, make_scaler
from tests.conformance.reference import forward_of
from tests.conformance.setting import Setting
from tram import TRAMOptimizer


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    return trained(_Loop, cell, setting)


class _Loop:
    def __init__(self, cell: Cell, setting: Setting, resuming: bool = False) -> None:
        self.model = setting.wrapped(setting.model(resuming))
        self.forward = forward_of(self.model, cell.precision)
        base, options = base_optimizer(cell.method)
        if cell.precision == "fp16":
            options["scaler"] = make_scaler("fp16")
        self.optimizer = TRAMOptimizer(
            self.model, cell.method, base, sync=setting.sync, seed=SEED + 1 if resuming else SEED, **options
        )
        if cell.clipping:
            self.optimizer.base_optimizer.register_step_pre_hook(self._clip)
        self.own_file = setting.folder / f"{setting.rank}.pt"

    def _clip(self, *_: object) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)

    def step(self, micro_batches: list[Batch]) -> None:
        """Accumulates as loops do: backward passes, and then the step."""
        *before, last = micro_batches
        for batch in before:
            (self.forward(batch)[0] / len(micro_batches)).backward()
        self.optimizer.step(lambda: self.forward(last))

    def save(self) -> None:
        """Each process its own file, in which shards are the DTensors that the model holds."""
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, self.own_file)

    def load(self) -> None:
        state = torch.load(self.own_file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
