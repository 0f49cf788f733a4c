"""Every benchmark as one row of data. Nothing here imports a model or reads a file."""

from dataclasses import dataclass, replace
from typing import Literal

BaseOptimizer = Literal["SGD", "Adam"]
Metric = Literal["accuracy", "perplexity"]


@dataclass(frozen=True)
class Recipe:
    """How one run trains, whatever its method."""

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


@dataclass(frozen=True)
class PublishedColumn:
    """Where the paper answers the same question: a column of a table in `results/published/`."""

    tables: tuple[str, ...]
    column: str
    baseline: BaseOptimizer


@dataclass(frozen=True)
class Benchmark:
    """One row: what is trained, how, on what it is scored, and which published column it stands beside."""

    name: str
    title: str
    family: str
    task: str
    """`module:function`; function(seed) returns a `benchmarks.task.Task`."""
    prepare: str
    """`module:function`; function(report) makes data and pre-trained model in the cache, unless they are there."""
    recipe: Recipe
    metric: Metric
    train_domain: str
    zero_shot_domains: tuple[str, ...]
    published: tuple[PublishedColumn, ...]
    """The paper's columns for the zero-shot average; empty where it has none."""
    published_train: tuple[PublishedColumn, ...]
    """The paper's columns for the training domain."""

    @property
    def domains(self) -> tuple[str, ...]:
        return (self.train_domain, *self.zero_shot_domains)

    @property
    def lower_is_better(self) -> bool:
        return self.metric == "perplexity"


_M2D2 = (
    PublishedColumn(("table_11_m2d2_wiki",), "ZS_Avg", "Adam"),
    PublishedColumn(("table_11_m2d2_s2orc",), "ZS_Avg", "Adam"),
)
_M2D2_TRAIN = (
    PublishedColumn(("table_11_m2d2_wiki",), "Soc", "Adam"),
    PublishedColumn(("table_11_m2d2_s2orc",), "Math", "Adam"),
)
_XNLI_TABLES = ("table_12_xnli", "table_14_xnli_distance")
# Table 3 is accuracy on the data set that was trained on: the paper has no number for images from elsewhere.
_VISION = tuple(PublishedColumn(("table_03_vision",), column, "SGD") for column in ("CIFAR-100", "Cars", "Flowers"))
_VISION_RECIPE = Recipe("SGD", lr=0.1, steps=100, batch_size=32, schedule="cosine")
_SHIFTS = ("noise", "blur", "affine", "occlusion")

_ROWS = (
    Benchmark(
        name="mini-vision-digits",
        title="UCI digits",
        family="mini-vision",
        task="benchmarks.mini.vision:digits",
        prepare="benchmarks.mini.vision:prepare",
        recipe=_VISION_RECIPE,
        metric="accuracy",
        train_domain="digits",
        zero_shot_domains=(*_SHIFTS, "MNIST", "font digits"),
        published=(),
        published_train=_VISION,
    ),
    Benchmark(
        name="mini-vision-mnist",
        title="MNIST, 1,000 images",
        family="mini-vision",
        task="benchmarks.mini.vision:mnist",
        prepare="benchmarks.mini.vision:prepare",
        recipe=_VISION_RECIPE,
        metric="accuracy",
        train_domain="MNIST",
        zero_shot_domains=(*_SHIFTS, "digits", "font digits"),
        published=(),
        published_train=_VISION,
    ),
    Benchmark(
        name="mini-vision-letters",
        title="letters of unseen scripts",
        family="mini-vision",
        task="benchmarks.mini.vision:letters",
        prepare="benchmarks.mini.vision:prepare",
        recipe=replace(_VISION_RECIPE, steps=150),
        metric="accuracy",
        train_domain="letters",
        zero_shot_domains=_SHIFTS,
        published=(),
        published_train=_VISION,
    ),
    Benchmark(
        name="mini-m2d2",
        title="docstrings of eleven packages",
        family="mini-m2d2",
        task="benchmarks.mini.m2d2:task",
        prepare="benchmarks.mini.m2d2:prepare",
        recipe=Recipe("Adam", lr=3e-4, steps=60, batch_size=16, schedule="linear"),
        metric="perplexity",
        train_domain="math",
        zero_shot_domains=(
            "science",
            "graphs",
            "plotting",
            "arrays",
            "learning",
            "tables",
            "fonts",
            "tensors",
            "stdlib",
            "transformers",
        ),
        published=_M2D2,
        published_train=_M2D2_TRAIN,
    ),
    Benchmark(
        name="mini-xnli",
        title="CLDR facts in fifteen languages",
        family="mini-xnli",
        task="benchmarks.mini.xnli:task",
        prepare="benchmarks.mini.xnli:prepare",
        recipe=Recipe("Adam", lr=5e-4, steps=100, batch_size=32, schedule="linear"),
        metric="accuracy",
        train_domain="En",
        zero_shot_domains=("Ar", "Bg", "De", "El", "Es", "Fr", "Hi", "Ru", "Sw", "Th", "Tr", "Ur", "Vi", "Zh"),
        published=(PublishedColumn(_XNLI_TABLES, "ZS_Avg", "Adam"),),
        published_train=(PublishedColumn(_XNLI_TABLES, "En", "Adam"),),
    ),
)

BENCHMARKS: dict[str, Benchmark] = {row.name: row for row in _ROWS}

PASSES: dict[str, tuple[int, int]] = {
    "SGD": (1, 1),
    "Adam": (1, 1),
    "SAM": (2, 2),
    "ASAM": (2, 2),
    "FSAM": (2, 2),
    "TRPO": (2, 1),
    "R3F": (2, 1),
    "MESA": (2, 1),
    "ASAM+TRPO": (3, 2),
    "ASAM+R3F": (4, 2),
    "ASAM+MESA": (3, 2),
    "TRAM-prev": (3, 2),
    "TRAM-pre": (3, 2),
    "TRAM-x": (3, 2),
    "TRAM-Fisher": (2, 2),
    "TRAM-x-MMD": (3, 2),
    "TRAM-x-L2": (3, 2),
}
"""Forward and backward passes by method: the names and numbers of `tram.METHODS`, which takes torch to read. A test
holds the two together."""

PLAIN = ("SGD", "Adam")
"""The methods that only name a base optimizer: a benchmark runs the one that it trains with."""


def methods_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Every method but the plain one of the other base optimizer."""
    return tuple(name for name in PASSES if name not in PLAIN or name == benchmark.recipe.base_optimizer)
