"""What `python -m benchmarks performance` writes: `results/performance/<machine>.json`. Nothing here imports torch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.errors import RunError
from benchmarks.record import write_atomically

SCHEMA_VERSION: Literal[2] = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Ratio(_Strict):
    """Of two times of the same round: the median over rounds, and the quartiles."""

    median: float
    low: float
    high: float


class StepCost(_Strict):
    """One candidate's step on one model."""

    seconds: float
    """Median over rounds."""
    over_floor: Ratio
    """To the sum of its passes timed alone and the base optimizer's step."""
    over_passes: Ratio | None
    """To its own passes and update, timed within the same steps; None on a GPU, where timing them would change them."""
    over_adam: Ratio
    kept_bytes_per_parameter: float | None
    """Held between steps, beyond weights and what plain Adam holds; None where bytes were not counted."""
    peak_bytes: int | None
    """The most that is held within a step, above what is held before it."""
    passes: tuple[int, int]
    """Forwards without a gradient, and forwards with their backward."""


class ModelCost(_Strict):
    """All candidates on one model, timed in turns within each round."""

    what: Literal["model"] = "model"
    model: str
    kind: str
    parameters: int
    precision: str
    examples: int
    length: int
    micro_batches: int
    rounds: int
    logits: int
    """Elements of the logits of the whole batch."""
    forward_flops: int
    """Of matrix products in one forward of the whole batch, counted: a multiplication and an addition are two."""
    passes_seconds: dict[str, float]
    """Medians of one `ungraded` forward, one `graded` forward with its backward, and the `update`."""
    steps: dict[str, StepCost]

    def over(self, name: str) -> Ratio:
        """A candidate's step to its passes, by the better of the two ways."""
        return self.steps[name].over_passes or self.steps[name].over_floor

    def floor(self, name: str) -> float:
        """Seconds of a candidate's passes and update."""
        (ungraded, graded), seconds = self.steps[name].passes, self.passes_seconds
        return ungraded * seconds["ungraded"] + graded * seconds["graded"] + seconds["update"]

    def ratio(self, one: str, other: str) -> float:
        """Of two candidates' times: that of their passes, times what each takes beyond them."""
        return self.floor(one) / self.floor(other) * self.over(one).median / self.over(other).median


class Growth(_Strict):
    """How one cost of ours grows: `costs[name][i]` at `sizes[i]`, and the exponent of a power law fitted to each.

    The exponent is None where a cost is not above zero, as the seconds of a method that adds next to nothing.
    """

    what: Literal["growth"] = "growth"
    quantity: str
    unit: str
    sizes: tuple[float, ...]
    costs: dict[str, tuple[float, ...]]
    exponents: dict[str, float | None]


class DistanceCost(_Strict):
    """d of a language model's logits beside a forward of the model that made them."""

    what: Literal["distance"] = "distance"
    model: str
    rows: int
    vocabulary: int
    seconds: float
    forward_seconds: float
    extra_peak_bytes: int
    gradient_seconds: float
    """Of d and its gradient by one side, as a penalty needs it."""
    gradient_peak_bytes: int
    logits_bytes: int
    """Of the logits of one batch in float32."""
    pieces: dict[str, float]
    """Seconds of what any exact d is made of, each operation over the same logits: the profile of `seconds`."""


class Counts(_Strict):
    """What one step asks of a device beyond its passes, counted and not timed."""

    what: Literal["counts"] = "counts"
    tensors: tuple[int, ...]
    """Weights of the models that were counted on."""
    host_waits: dict[str, int]
    """How often a step reads a number back from its device."""
    launches: dict[str, tuple[int, ...]]
    """Operators beyond those of the passes on a device that launches kernels, for each number of weights."""


class WeightWork(_Strict):
    """Backup, ascent and restore alone, as a share of what a plain copy moves in that time."""

    what: Literal["weights"] = "weights"
    parameters: int
    seconds: dict[str, float]
    bytes_per_parameter: dict[str, float]
    """That have to be read and written at least, once for every operator."""


class Roof(_Strict):
    """What the device does at most: one large product of matrices per precision, one large copy."""

    what: Literal["roof"] = "roof"
    matrix_flops: dict[str, float]
    """Per second."""
    copy_bytes: float
    """Read and written, per second."""


class Captured(_Strict):
    """A whole step replayed as one CUDA graph."""

    what: Literal["graph"] = "graph"
    model: str
    eager_seconds: dict[str, float]
    replayed_seconds: dict[str, float]
    refused: dict[str, str]
    """Why a step could not be captured, in the first line of what torch said."""


class Idea(_Strict):
    """Two ways to do one thing, timed in turns."""

    what: Literal["idea"] = "idea"
    idea: str
    instead_of: str
    predicted: float
    """Time to that of what it is tried against, thought before it was measured."""
    measured: Ratio
    same_bits: bool
    decision: str


class EndToEnd(_Strict):
    """Where the time of a whole command goes: seconds of its parts, as the command itself noted them."""

    what: Literal["end to end"] = "end to end"
    command: str
    seconds: dict[str, float]


Part = Annotated[
    ModelCost | Growth | DistanceCost | Counts | WeightWork | Roof | Captured | Idea | EndToEnd,
    Field(discriminator="what"),
]
PartType = TypeVar("PartType", bound=_Strict)


class Performance(_Strict):
    """Everything that was measured on one machine, part by part: a part that is there is done."""

    schema_version: Literal[2] = SCHEMA_VERSION
    machine: str
    clock: str
    """What seconds are of: the processor's time on a CPU, the wall clock's on a GPU."""
    environment: dict[str, str | int | bool | None]
    """Of the latest part."""
    parts: dict[str, Part]
    commits: dict[str, str]
    """Of each part, the commit that measured it; with a + if files were changed."""

    def of(self, kind: type[PartType]) -> list[PartType]:
        """The parts of one kind, in the order in which they were planned."""
        return [part for part in self.parts.values() if isinstance(part, kind)]

    def with_part(self, name: str, part: Part, commit: str, order: Iterable[str]) -> "Performance":
        parts = {**self.parts, name: part}
        places = {planned: place for place, planned in enumerate(order)}
        ordered = sorted(parts, key=lambda known: places.get(known, len(places)))
        commits = {**self.commits, name: commit}
        return self.model_copy(
            update={
                "parts": {known: parts[known] for known in ordered},
                "commits": {known: commits[known] for known in ordered if known in commits},
            }
        )


def write_performance(performance: Performance, folder: Path) -> Path:
    path = folder / f"{performance.machine}.json"
    write_atomically(path, (performance.model_dump_json(indent=1) + "\n").encode())
    return path


def read_performance(path: Path) -> Performance:
    """Raises RunError for a file that is no record of this schema."""
    try:
        return Performance.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is no record that this code reads ({place}: {first['msg']}): move it away") from None
