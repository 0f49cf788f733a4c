"""Lightning's automatic optimisation: the second pass is made in `optimizer_step`, within the optimizer's closure."""

from typing import Any

from torch import Tensor

from tests.conformance import lightning_trainer
from tests.conformance.cells import Cell
from tests.conformance.problem import MAX_NORM, Batch
from tests.conformance.setting import Setting


class Automatic(lightning_trainer.Net):
    def __init__(self, cell: Cell, setting: Setting, resuming: bool) -> None:
        super().__init__(cell, setting, resuming)
        self.micro_batches: list[Batch] = []

    def loaded(self, micro_batches: list[Batch]) -> list[Any]:
        return micro_batches

    def training_step(self, batch: Batch, index: int) -> Tensor:
        if self.tram.micro_batches_seen == len(self.micro_batches):
            self.micro_batches.append(batch)
        return self.tram.objective(self.outputs)(batch)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        strategy: Any = self.trainer.strategy

        def both_passes() -> Any:
            loss = optimizer_closure()
            if self.tram.method.ascent is not None:
                with self.tram.perturbed():
                    for batch in self.micro_batches:
                        again = strategy.training_step(batch, batch_idx)
                        strategy.backward(again / len(self.micro_batches), optimizer)
            self.tram.advance()
            self.micro_batches = []
            return loss

        super().optimizer_step(epoch, batch_idx, optimizer, both_passes)
        optimizer.zero_grad()  # Lightning's own comes after the next training_step


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    return lightning_trainer.train(
        cell,
        setting,
        Automatic,
        accumulate_grad_batches=cell.micro_batches,
        gradient_clip_val=MAX_NORM if cell.clipping else None,
    )
