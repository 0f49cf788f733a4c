"""One cell: trained as its way trains, and held against the reference or against its rule."""

import importlib
import os
import re
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from tests.conformance.cells import Cell
from tests.conformance.reference import reference
from tests.conformance.rules import FAILED, PASSED, rule_of
from tests.conformance.setting import Setting

MODULES = {
    "plain loop": "plain",
    "facade": "facade",
    "Hugging Face": "huggingface",
    "accelerate": "accelerate_loop",
    "Lightning manual": "lightning_manual",
    "Lightning automatic": "lightning_automatic",
}

TOLERANCE = {"full": 1e-11, "bf16": 2e-5, "fp16": 2e-5}
"""Of any weight, absolute: what the order of sums may change. Weights are of order 1. Under autocast every micro-batch
is the reference's, and is rounded alike; what differs is the order in which float32 gradients add up."""


@dataclass(frozen=True)
class Verdict:
    """`difference` is the largest between a weight and the reference's; `why` an error in words, of what failed."""

    outcome: str
    difference: float | None = None
    why: str | None = None
    in_step: bool = True
    """Whether the processes of this cell are still at the same point: not where one has raised what it should not."""


def check(cell: Cell, rank: int = 0) -> Verdict:
    """What became of `cell` in this process; of several, all have to call this for the same cells in turn."""
    rule = rule_of(cell)
    try:
        found = trained(cell, rank)
    except Exception as error:
        kind, said = type(error).__name__, str(error)
        if rule is not None and kind == rule.error and re.search(rule.match, said, re.DOTALL):
            return Verdict(rule.outcome)
        return Verdict(FAILED, why="".join(traceback.format_exception(error)), in_step=False)
    if rule is not None:
        return Verdict(FAILED, why=f"ran to its end, and had to be {rule.outcome}: {rule.reason}")
    return compared(cell, found, rank)


def compared(cell: Cell, found: dict[str, Tensor], rank: int) -> Verdict:
    expected = reference(cell)
    if found.keys() != expected.keys():
        return Verdict(FAILED, why=f"the weights are {sorted(found)}, not {sorted(expected)}")
    # Not Python's max(), which passes over a NaN that does not come first.
    difference = float(torch.stack([(found[name] - expected[name]).abs().max().double() for name in expected]).max())
    if not difference <= TOLERANCE[cell.precision]:
        return Verdict(FAILED, difference, f"differs from the reference by {difference:.1e}")
    if cell.resumed:
        straight = trained(replace(cell, resumed=False), rank)
        changed = [name for name in straight if not torch.equal(straight[name], found[name])]
        if changed:
            return Verdict(FAILED, difference, f"resumed, {changed} are not the bits of an uninterrupted training")
    return Verdict(PASSED, difference)


@lru_cache(maxsize=1)
def _straight(cell: Cell, rank: int) -> dict[str, Tensor]:
    return _trained(cell, rank)


def trained(cell: Cell, rank: int) -> dict[str, Tensor]:
    """Of cells that are not resumed, the last one's weights are kept, for the resumed one that comes next."""
    return _trained(cell, rank) if cell.resumed else _straight(cell, rank)


def _trained(cell: Cell, rank: int) -> dict[str, Tensor]:
    way: Callable[[Cell, Setting], dict[str, Tensor]] = importlib.import_module(
        f"tests.conformance.{MODULES[cell.way]}"
    ).train
    torch.manual_seed(0)
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as own:
        folder = [own]
        if cell.processes > 1:
            dist.broadcast_object_list(folder, src=0)
        try:
            return way(cell, Setting(cell, rank, Path(folder[0])))
        finally:
            os.environ.clear()  # accelerate leaves variables that the next cell would obey
            os.environ.update(environment)
            # Nobody removes the folder that another process still reads.
            if cell.processes > 1:
                dist.barrier()
