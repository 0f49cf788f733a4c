"""How a run is carried out on the machine at hand.

Nothing in here changes what a step computes but its rounding, and how random numbers and the statistics of BatchNorm
fall to the parts of a batch that is cut.
"""

from dataclasses import dataclass, field, replace

from benchmarks.processes import Processes
from benchmarks.row import Precision, Recipe


@dataclass(frozen=True)
class Execution:
    """Device, processes, and what of the recipe is fitted to them; None leaves it as the recipe has it."""

    device: str | None = None
    """`cuda` or `cpu`; None takes the GPU if there is one and the benchmark asks for one."""
    processes: Processes = field(default_factory=Processes)
    micro_batches: int | None = None
    precision: Precision | None = None
    loaders: int | None = None
    keep_reference: bool = False
    """Whether the logits of a reference that never changes are kept by example, where that is exact."""
    keep_weights: bool = False
    """Whether the weights that a run ends with go to the user's cache, where probes find them."""

    def fitted(self, recipe: Recipe) -> Recipe:
        """The recipe as it is carried out."""
        parts = recipe.micro_batches if self.micro_batches is None else self.micro_batches
        return replace(
            recipe,
            micro_batches=parts,
            # What is cut to fit the memory in training is cut as much in scoring.
            evaluation_batch_size=max(1, recipe.evaluation_batch_size * recipe.micro_batches // parts),
            precision=recipe.precision if self.precision is None else self.precision,
            keep_reference=self.keep_reference,
        )


FITTED = ("micro_batches", "precision", "keep_reference", "checkpoint_every", "evaluation_batch_size")
"""Fields of a recipe that may differ between two records of one run."""
