"""A plan as a list of parts, each measured alone, in its own order, and kept when it is done."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.performance.counting import counts
from benchmarks.performance.end_to_end import reproduced, timed_checks
from benchmarks.performance.graph import captured
from benchmarks.performance.growth import (
    Report,
    distance_cost,
    growth_of_bytes,
    growth_with_micro_batches,
    growth_with_parameters,
    growth_with_vocabulary,
)
from benchmarks.performance.ideas import THOUGHTS, Thought, tried
from benchmarks.performance.machine import roof_of
from benchmarks.performance.measure import model_cost
from benchmarks.performance.plan import FEW, Measured, Plan
from benchmarks.performance.record import ModelCost, Part
from benchmarks.performance.weights import weight_work

TENSORS = (64, 256)
RESULTS = Path("results")


@dataclass(frozen=True)
class ToMeasure:
    """`make(report)` measures it; `cost` is roughly how long that takes, next to others'."""

    name: str
    cost: float
    make: Callable[[Report], Part]
    measured: Measured | None = None
    """Of a model's part: what it is of."""

    def is_done(self, parts: Mapping[str, Part]) -> bool:
        """Whether it is among `parts`, of a model with the batch and rounds that are planned now."""
        part, measured = parts.get(self.name), self.measured
        if measured is None or not isinstance(part, ModelCost):
            return part is not None
        size = measured.size
        planned = (size.examples, size.length, size.micro_batches, measured.rounds)
        return planned == (part.examples, part.length, part.micro_batches, part.rounds)


def parts_of(plan: Plan) -> list[ToMeasure]:
    """Everything of the plan, what a reader asks for first first."""
    device, rounds = torch.device(plan.device), plan.rounds
    quick = [
        ToMeasure("roof", 1, lambda report: roof_of(device)),
        ToMeasure("counts", 20, lambda report: counts(plan.counted, TENSORS, report)),
        ToMeasure("weights", 1, lambda report: weight_work(plan.weights[1], device, 2 * rounds)),
    ]
    models = [
        ToMeasure(
            measured.name,
            (measured.rounds + 1 + 2 * measured.with_bytes) * len(measured.steps) * measured.size.work / 5e9,
            partial(model_cost, measured, device),
            measured,
        )
        for measured in plan.models
    ]
    growing = [
        ToMeasure(
            "growth with parameters",
            20,
            lambda report: growth_with_parameters(plan.weights, device, rounds, report),
        ),
        ToMeasure("growth of bytes", 15, lambda report: growth_of_bytes(plan.weights, device, report)),
        ToMeasure(
            "growth with micro-batches",
            20,
            lambda report: growth_with_micro_batches(plan.micro_batch, plan.micro_batches, device, rounds, report),
        ),
        ToMeasure(
            "growth with vocabulary",
            5,
            lambda report: growth_with_vocabulary(plan.tokens, plan.vocabularies, device, rounds),
        ),
        ToMeasure("distance", 30, lambda report: distance_cost(plan.distance, device, rounds)),
    ]
    can_compile = shutil.which(os.environ.get("CXX", "c++")) is not None
    ideas = [_idea(thought, device, 2 * rounds) for thought in THOUGHTS if can_compile or not thought.compiles]
    graphs = [ToMeasure("graph", 20, lambda report: captured(plan.models[0].size, FEW[1:], 10, report))]
    found = reproduced(RESULTS)
    whole = [] if found is None else [ToMeasure("make reproduce", 1, lambda report: found)]
    if plan.tests:
        whole.append(ToMeasure("make test", 600, lambda report: timed_checks((), report)))
    return [*quick, *models, *growing, *ideas, *(graphs if plan.device == "cuda" else []), *whole]


def _idea(thought: Thought, device: torch.device, rounds: int) -> ToMeasure:
    return ToMeasure(
        f"idea: {thought.idea}", 60 if thought.compiles else 2, lambda report: tried(thought, device, rounds)
    )
