"""Lightning with `automatic_optimization = False`: the passes are written out in `training_step`."""

from typing import Any

from torch import Tensor

from tests.conformance import lightning_trainer
from tests.conformance.cells import Cell
from tests.conformance.problem import MAX_NORM, Batch
from tests.conformance.setting import Setting


class Manual(lightning_trainer.Net):
    def __init__(self, cell: Cell, setting: Setting, resuming: bool) -> None:
        super().__init__(cell, setting, resuming)
        self.automatic_optimization = False

    def loaded(self, micro_batches: list[Batch]) -> list[Any]:
        return [micro_batches]

    def training_step(self, micro_batches: list[Batch], index: int) -> None:
        optimizer: Any = self.optimizers()
        objective = self.tram.objective(self.outputs)
        for batch in micro_batches:
            self.manual_backward(objective(batch) / len(micro_batches))
        if self.tram.method.ascent is not None:
            with self.tram.perturbed():
                for batch in micro_batches:
                    self.manual_backward(objective(batch) / len(micro_batches))
        self.tram.advance()
        optimizer.step()
        optimizer.zero_grad()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if self.cell.clipping:
            self.clip_gradients(optimizer, gradient_clip_val=MAX_NORM, gradient_clip_algorithm="norm")


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    return lightning_trainer.train(cell, setting, Manual)
