"""How a run is carried out on the machine at hand: nothing in here changes what is computed but its rounding."""

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

    def fitted(self, recipe: Recipe) -> Recipe:
        """The recipe as it is carried out."""
        return replace(
            recipe,
            micro_batches=recipe.micro_batches if self.micro_batches is None else self.micro_batches,
            precision=recipe.precision if self.precision is None else self.precision,
            keep_reference=self.keep_reference,
        )


FITTED = ("micro_batches", "precision", "keep_reference", "checkpoint_every", "evaluation_batch_size")
"""Fields of a recipe that may differ between two records of one run."""
