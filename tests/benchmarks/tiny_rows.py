"""Benchmarks that train in milliseconds, as rows of the registry: what they name is in `tiny_tasks`."""

from benchmarks.registry import BENCHMARKS, Benchmark, Recipe
from benchmarks.suites import PASSES, SUITES, Selection, Suite

RECIPE = Recipe("SGD", lr=0.1, steps=12, batch_size=8, schedule="cosine")


def row(name: str, recipe: Recipe = RECIPE, family: str = "tiny") -> Benchmark:
    return Benchmark(
        name=name,
        title=f"{name} for tests",
        family=family,
        task=f"tests.benchmarks.tiny_tasks:{name.removeprefix('tiny-')}",
        prepare="tests.benchmarks.tiny_tasks:prepare"
        if family == "tiny"
        else "tests.benchmarks.tiny_tasks:prepare_broken",
        recipe=recipe,
        metric="accuracy",
        train_domain="home",
        zero_shot_domains=("away",),
        published=(),
    )


ROWS = (
    row("tiny-points"),
    row("tiny-explodes"),
    row("tiny-slow", Recipe("SGD", lr=0.1, steps=400, batch_size=8, schedule="linear")),
    row("tiny-dies"),
    row("tiny-unprepared", family="tiny-broken"),
)

SUITE = Suite(
    name="tiny",
    title="for tests",
    benchmarks=tuple(item.name for item in ROWS),
    quick=Selection(("SGD", "TRAM-x"), seeds=(0,)),
    full=Selection(tuple(PASSES), seeds=(0, 1)),
)


def install() -> None:
    BENCHMARKS.update({item.name: item for item in ROWS})
    SUITES[SUITE.name] = SUITE
