"""Benchmarks that train in milliseconds, as rows of the registry: what they name is in `tiny_tasks`."""

from benchmarks.registry import BENCHMARKS, PASSES
from benchmarks.row import Benchmark, Recipe
from benchmarks.suites import SUITES, Selection, Suite

RECIPE = Recipe("SGD", lr=0.1, steps=12, batch_size=8, schedule="cosine")

PREPARE = {
    "tiny": "tests.benchmarks.tiny_tasks:prepare",
    "tiny-broken": "tests.benchmarks.tiny_tasks:prepare_broken",
    "tiny-endless": "tests.benchmarks.pool_targets:prepare_endlessly",
}


def row(name: str, recipe: Recipe = RECIPE, family: str = "tiny") -> Benchmark:
    return Benchmark(
        name=name,
        title=f"{name} for tests",
        family=family,
        task="tests.benchmarks.tiny_tasks:task",
        prepare=PREPARE[family],
        recipe=recipe,
        metric="accuracy",
        train_domain="home",
        zero_shot_domains=("away",),
        published=(),
        published_train=(),
    )


ROWS = (
    row("tiny-points"),
    row("tiny-explodes"),
    row("tiny-slow", Recipe("SGD", lr=0.1, steps=400, batch_size=8, schedule="linear")),
    row("tiny-long", Recipe("SGD", lr=0.1, steps=220, batch_size=8, schedule="linear", checkpoint_every=10)),
    row(
        "tiny-still",
        Recipe(
            "SGD",
            lr=0.1,
            steps=60,
            batch_size=8,
            schedule="cosine",
            evaluation_every=5,
            checkpoint_every=5,
            selection="validation",
        ),
    ),
    row("tiny-dies"),
    row("tiny-unprepared", family="tiny-broken"),
    row("tiny-endless", family="tiny-endless"),
)


def suite(name: str, benchmarks: tuple[str, ...]) -> Suite:
    return Suite(
        name=name,
        title="for tests",
        quick=(Selection(benchmarks, ("SGD", "TRAM-x"), seeds=(0,)),),
        full=(Selection(benchmarks, tuple(PASSES), seeds=(0, 1)),),
    )


SUITE = suite("tiny", tuple(item.name for item in ROWS if item.name not in ("tiny-endless", "tiny-long", "tiny-still")))
ENDLESS = suite("endless", ("tiny-points", "tiny-endless"))


def install() -> None:
    BENCHMARKS.update({item.name: item for item in ROWS})
    SUITES.update({item.name: item for item in (SUITE, ENDLESS)})
