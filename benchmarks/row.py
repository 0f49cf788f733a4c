"""What a benchmark is: one row of data. Nothing here imports a model or reads a file."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.sources import Source

BaseOptimizer = Literal["SGD", "Adam"]
Metric = Literal["accuracy", "perplexity"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Recipe:
    """How one run trains, whatever its method.

    `precision` is that of autocast on a GPU, weights stay float32; on a CPU everything is float32. `evaluation_every`
    counts steps between two looks at the validation set, of which `selection_examples` are used, all if None.
    `checkpoint_every` counts steps between two checkpoints; None makes none but on a signal. `keep_reference` keeps the
    logits of a reference that never changes (TRAM-pre) instead of computing them anew in every epoch.
    """

    base_optimizer: BaseOptimizer
    lr: float
    steps: int
    batch_size: int
    schedule: Literal["cosine", "linear"]
    warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.99)
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = 1.0
    micro_batches: int = 1
    evaluation_every: int | None = None
    selection: Literal["last", "validation"] = "last"
    evaluation_batch_size: int = 128
    selection_examples: int | None = None
    checkpoint_every: int | None = None
    precision: Precision = "float32"
    keep_reference: bool = False


@dataclass(frozen=True)
class PublishedColumn:
    """Where the paper answers the same question: a column of a table in `results/published/`."""

    tables: tuple[str, ...]
    column: str
    baseline: BaseOptimizer


@dataclass(frozen=True)
class Needs:
    """What one run of a benchmark takes, for planning and for the checks before it starts.

    `parameters` of the model; `forward_flops` of one example (2 per multiply-add); `activation_bytes` that the forward
    of one example keeps for its backward pass, the logits' included; `data_bytes` to download and `disk_bytes` to hold
    once prepared, for the family. All are estimates but the first.
    """

    gpus: int
    parameters: int
    forward_flops: float
    activation_bytes: float
    data_bytes: float
    disk_bytes: float


@dataclass(frozen=True)
class Benchmark:
    """One row: what is trained, how, on what it is scored, and which published column it stands beside."""

    name: str
    title: str
    family: str
    task: str
    """`module:function`; function(row, seed) returns a `benchmarks.task.Task`."""
    prepare: str
    """`module:function`; function(row, report) makes what runs start from, unless it is there."""
    recipe: Recipe
    metric: Metric
    train_domain: str
    zero_shot_domains: tuple[str, ...]
    published: tuple[PublishedColumn, ...]
    """The paper's columns for the zero-shot average; empty where it has none."""
    published_train: tuple[PublishedColumn, ...]
    """The paper's columns for the training domain."""
    source: Source | None = None
    """The hub's repositories that data and model are made from; None where installed packages supply them."""
    needs: Needs | None = None
    """None where a laptop does."""
    sequence: tuple[str, ...] = ()
    """Domains to train on after `train_domain`, one after the other, with the recipe's steps each."""
    zero_shot_name: str | None = None
    """The published tables' name of the model before training, where it can be scored without."""

    @property
    def domains(self) -> tuple[str, ...]:
        return (self.train_domain, *self.zero_shot_domains)

    @property
    def lower_is_better(self) -> bool:
        return self.metric == "perplexity"
