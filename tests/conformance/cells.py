"""The axes of the matrix, and its cells: every combination of one value from each."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from tram import METHODS

AXES: dict[str, tuple[Any, ...]] = {
    "way": ("plain loop", "facade", "Hugging Face", "accelerate", "Lightning manual", "Lightning automatic"),
    "precision": ("full", "bf16", "fp16"),
    "layout": ("one process", "DDP global", "DDP local", "FSDP2"),
    "micro_batches": (1, 4),
    "method": tuple(METHODS),
    "clipping": (False, True),
    "resumed": (False, True),
}


@dataclass(frozen=True)
class Cell:
    """One way to train one method under one set of circumstances.

    `precision`: full is without autocast; bf16 and fp16 are autocast, fp16 with a GradScaler.
    `layout`: how many processes train, two but for the first, and what they share.
    `resumed`: stopped in the middle, saved as that way saves, and continued by objects that know nothing of before.
    """

    way: str
    precision: str
    layout: str
    micro_batches: int
    method: str
    clipping: bool
    resumed: bool

    def __str__(self) -> str:
        clipped = "clipped" if self.clipping else "unclipped"
        course = "resumed" if self.resumed else "straight"
        return (
            f"{self.way}, {self.precision}, {self.layout}, {self.micro_batches} micro-batches, {clipped}, {course}, "
            f"{self.method}"
        )

    @property
    def processes(self) -> int:
        return 1 if self.layout == "one process" else 2


CELLS = tuple(Cell(*values) for values in product(*AXES.values()))
