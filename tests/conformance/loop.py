"""A loop of one's own, step by step: stopped, saved and begun anew by other objects where the cell is resumed."""

from typing import Protocol

from torch import Tensor, nn

from tests.conformance.cells import Cell
from tests.conformance.problem import STOP, Batch, parts
from tests.conformance.setting import Setting, weights_of


class Loop(Protocol):
    """A model and what trains it, made for a cell; `resuming`: of weights and a seed that `load` has to replace."""

    model: nn.Module

    def __init__(self, cell: Cell, setting: Setting, resuming: bool = False) -> None: ...

    def step(self, micro_batches: list[Batch]) -> None: ...

    def save(self) -> None: ...

    def load(self) -> None: ...


def trained(made: type[Loop], cell: Cell, setting: Setting) -> dict[str, Tensor]:
    """The weights at the end."""
    loop = made(cell, setting)
    for step, micro_batches in enumerate(parts(cell, setting.rank)):
        if cell.resumed and step == STOP:
            loop.save()
            loop = made(cell, setting, resuming=True)
            loop.load()
        loop.step(micro_batches)
    return weights_of(loop.model)
