"""Lightning with `automatic_optimization = False`, by the class that docs/training/lightning.md prints for it."""

from typing import Any

from torch import Tensor

from tests.conformance import lightning_trainer
from tests.conformance.cells import Cell
from tests.conformance.lightning_trainer import Manual, OfCell
from tests.conformance.problem import MAX_NORM, Batch
from tests.conformance.setting import Setting


class ManualOfCell(OfCell, Manual):
    def loaded(self, micro_batches: list[Batch]) -> list[Any]:
        return [micro_batches]

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if self.cell.clipping:
            self.clip_gradients(optimizer, gradient_clip_val=MAX_NORM, gradient_clip_algorithm="norm")


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    return lightning_trainer.train(cell, setting, ManualOfCell)
