"""Which part of a grid a process computes: one of a Slurm array, or as it is told. Nothing here imports torch."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from 1."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"part {self.number} of {self.count}: give I/N with I from 1 to N")

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def of(self, size: int) -> range:
        """Its indices of `size`: every `count`-th, so that all parts take as long."""
        return range(self.number - 1, size, self.count)


def part_named(text: str | None, environment: Mapping[str, str] = os.environ) -> Part:
    """`I/N`; where nothing is said, the task of a Slurm array, else everything. Raises ValueError for anything else."""
    if text is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None:
            raise ValueError(f"part {text!r}: give I/N, as 2/8")
        return Part(int(match[1]), int(match[2]))
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_COUNT")
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return Part()
    task, first, step, count = (int(environment.get(name, "1")) for name in names)
    return Part((task - first) // step + 1, count)
