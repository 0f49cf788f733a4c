"""Benchmarks that train in milliseconds, as rows of the registry: what they name is in `tiny_tasks`."""

from dataclasses import replace

from benchmarks.registry import BENCHMARKS, PASSES, Benchmark, Recipe
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
        task=f"tests.benchmarks.tiny_tasks:{name.removeprefix('tiny-')}",
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
    row("tiny-dies"),
    row("tiny-unprepared", family="tiny-broken"),
    row("tiny-endless", family="tiny-endless"),
)

SUITE = Suite(
    name="tiny",
    title="for tests",
    benchmarks=tuple(item.name for item in ROWS if item.family != "tiny-endless"),
    quick=Selection(("SGD", "TRAM-x"), seeds=(0,)),
    full=Selection(tuple(PASSES), seeds=(0, 1)),
)
ENDLESS = replace(SUITE, name="endless", benchmarks=("tiny-points", "tiny-endless"))


def install() -> None:
    BENCHMARKS.update({item.name: item for item in ROWS})
    SUITES.update({suite.name: suite for suite in (SUITE, ENDLESS)})
