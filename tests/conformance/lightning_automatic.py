"""Lightning's automatic optimisation, by the class that docs/training/lightning.md prints for it."""

from typing import Any

from torch import Tensor

from tests.conformance import lightning_trainer
from tests.conformance.cells import Cell
from tests.conformance.lightning_trainer import Automatic, OfCell
from tests.conformance.problem import MAX_NORM, Batch
from tests.conformance.setting import Setting


class AutomaticOfCell(OfCell, Automatic):
    def loaded(self, micro_batches: list[Batch]) -> list[Any]:
        return micro_batches


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    return lightning_trainer.train(
        cell,
        setting,
        AutomaticOfCell,
        accumulate_grad_batches=cell.micro_batches,
        gradient_clip_val=MAX_NORM if cell.clipping else None,
    )
