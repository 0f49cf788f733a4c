"""The rows of the paper with small data, small models of the same classes, and a dozen steps: all else as it is."""

from dataclasses import replace

from benchmarks.paper_rows import ROWS
from benchmarks.row import Benchmark
from benchmarks.sources import M2D2Source, VisionSource, XNLISource
from tests.benchmarks import hub_fixtures, hub_fixtures_vision, hub_fixtures_xnli
from tests.hub import Hub

STEPS = 6


def small(row: Benchmark) -> Benchmark:
    recipe = replace(
        row.recipe,
        steps=STEPS,
        batch_size=4,
        warmup_steps=min(row.recipe.warmup_steps, 2),
        evaluation_every=3 if row.recipe.evaluation_every else None,
        selection_examples=row.recipe.selection_examples and 2,
        evaluation_batch_size=4,
        checkpoint_every=2,
    )
    assert row.needs is not None
    source = row.source
    if isinstance(source, VisionSource):
        source = hub_fixtures_vision.small(source)
    elif isinstance(source, XNLISource):
        source = hub_fixtures_xnli.small(source)
    elif isinstance(source, M2D2Source):
        source = replace(source, block=32)
    return replace(row, recipe=recipe, source=source, needs=replace(row.needs, parameters=100_000))


SMALL = {row.name: small(row) for row in ROWS}


def write(hub: Hub) -> None:
    """All repositories that the small rows name, in the layout of the real ones."""
    for row in SMALL.values():
        source = row.source
        assert source is not None
        hub.pin(source.repository)
        hub.pin(source.model)
        if isinstance(source, VisionSource):
            hub_fixtures_vision.write_vision(hub.root, source)
        elif isinstance(source, XNLISource):
            hub_fixtures_xnli.write_xnli(hub.root, source)
    sources = [row.source for row in SMALL.values() if isinstance(row.source, M2D2Source)]
    configs = dict.fromkeys(config for source in sources for _, config in source.configs)
    for model in dict.fromkeys(source.model.name for source in sources):
        hub_fixtures.write_m2d2(hub.root, configs, model=model, train_lines=60, other_lines=20)
