"""What is measured: one plan for a CPU, one for a GPU with the paper's own sizes, one for tests."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.performance.models import GPT2, GPT2_XL, LARGE, ON_GPU, SMALL, TINY, Size
from benchmarks.performance.steps import KEPT, PEERS, PLAIN
from tram import METHODS

Precision = Literal["float32", "bfloat16"]
EVERY = (PLAIN, *(name for name in METHODS if name not in ("SGD", PLAIN)), KEPT, *PEERS)
FEW = (PLAIN, "SAM", "ASAM", "TRAM-prev", "TRAM-x")


@dataclass(frozen=True)
class Measured:
    """One model in one precision: which steps, in how many rounds, and whether their bytes are counted too."""

    size: Size
    precision: Precision
    steps: tuple[str, ...]
    rounds: int
    with_bytes: bool

    @property
    def name(self) -> str:
        return f"{self.size.name}, {self.precision}"


@dataclass(frozen=True)
class Plan:
    """Everything that one call measures."""

    device: Literal["cpu", "cuda"]
    models: tuple[Measured, ...]
    rounds: int
    """Of what grows."""
    weights: tuple[int, ...]
    """Parameters of bare models."""
    micro_batches: tuple[int, ...]
    micro_batch: Size
    vocabularies: tuple[int, ...]
    tokens: int
    distance: Size
    counted: Size = TINY[1]
    tests: bool = False
    """Whether the project's own checks are timed too."""


PLANS = {
    "cpu": Plan(
        device="cpu",
        models=(
            *(Measured(size, "float32", EVERY, rounds=2, with_bytes=True) for size in SMALL),
            *(Measured(size, "float32", EVERY, rounds=2, with_bytes=False) for size in LARGE),
            *(Measured(size, "bfloat16", FEW, rounds=2, with_bytes=False) for size in SMALL),
        ),
        rounds=3,
        weights=(10**6, 10**7, 3 * 10**7, 10**8),
        micro_batches=(1, 2, 4),
        micro_batch=SMALL[1],
        vocabularies=(1_000, 5_000, 25_000, 50_257, 250_002),
        tokens=64,
        distance=GPT2,
        tests=True,
    ),
    "gpu": Plan(
        device="cuda",
        models=(
            *(Measured(size, "bfloat16", EVERY, rounds=10, with_bytes=True) for size in ON_GPU),
            Measured(GPT2_XL, "bfloat16", (*FEW, *PEERS[::2]), rounds=5, with_bytes=True),
        ),
        rounds=10,
        weights=(10**6, 10**7, 10**8, 15 * 10**8),
        micro_batches=(1, 2, 4, 8),
        micro_batch=ON_GPU[1],
        vocabularies=(1_000, 5_000, 25_000, 50_257, 250_002),
        tokens=4096,
        distance=ON_GPU[1],
    ),
    "tiny": Plan(
        device="cpu",
        models=(
            *(Measured(size, "float32", EVERY, rounds=2, with_bytes=True) for size in TINY),
            Measured(TINY[0], "bfloat16", FEW, rounds=1, with_bytes=False),
        ),
        rounds=2,
        weights=(10**5, 10**6),
        micro_batches=(1, 2),
        micro_batch=TINY[1],
        vocabularies=(100, 200),
        tokens=8,
        distance=TINY[1],
    ),
}
