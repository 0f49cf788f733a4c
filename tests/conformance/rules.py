"""What is refused on purpose, and what this machine cannot run: everything else has to pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance.cells import Cell

PASSED, REFUSED, NOT_RUNNABLE, FAILED = "passed", "refused", "not runnable here", "failed"


@dataclass(frozen=True, eq=False)
class Rule:
    """Cells with these values on these axes end in `outcome`, by an error of type `error` whose message has `match`."""

    outcome: str
    where: Mapping[str, tuple[Any, ...]]
    error: str
    match: str
    reason: str

    def applies_to(self, cell: Cell) -> bool:
        return all(getattr(cell, axis) in values for axis, values in self.where.items())


LIGHTNING = ("Lightning manual", "Lightning automatic")
ON_ACCELERATE = ("Hugging Face", "accelerate")

RULES = (
    Rule(
        REFUSED,
        {"way": ("facade",), "precision": ("fp16",)},
        "TypeError",
        r"scaler.*tram\.backward",
        "the facade steps its base optimizer itself, where a GradScaler wants to: `TRAM(model, method, scaler=scaler)`",
    ),
    Rule(
        REFUSED,
        {"way": ("facade",), "micro_batches": (4,)},
        "ValueError",
        r"left over.*TRAM\.backward",
        "one closure is one batch, and gradients from before the step are refused: `tram.backward(forward, *batches)`",
    ),
    Rule(
        REFUSED,
        {"way": LIGHTNING, "layout": ("DDP local",)},
        "RuntimeError",
        r'sync="local".*use sync="global", or a loop',
        'Lightning announces the exchange of gradients before `training_step` runs: `sync="global"`, or a plain loop',
    ),
    Rule(
        NOT_RUNNABLE,
        {"way": ON_ACCELERATE, "precision": ("fp16",)},
        "NotRunnableHereError",
        "fp16",
        "accelerate has fp16 on GPUs only",
    ),
    Rule(
        NOT_RUNNABLE,
        {"way": ON_ACCELERATE, "layout": ("FSDP2",)},
        "NotRunnableHereError",
        "shards",
        "accelerate shards on GPUs only",
    ),
)


def rule_of(cell: Cell) -> Rule | None:
    """The first rule that applies; None where the cell has to pass."""
    return next((rule for rule in RULES if rule.applies_to(cell)), None)
