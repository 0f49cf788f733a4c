"""Tasks that go slowly while they are held, or never end."""

import os
import time
from dataclasses import replace
from pathlib import Path

from torch import nn

from benchmarks.row import Benchmark
from benchmarks.task import Batch, Outputs, Task
from tests.benchmarks.tiny_tasks import forward, points
from tests.slurm.sweep_rows import HANGS_AT

HELD_SECONDS, LATER_SECONDS = 0.3, 1.5
SOON = 60
"""Passes until a run that is held goes slower still: it is not to end before it is let go."""


def held(row: Benchmark, seed: int) -> Task:
    """Goes slowly as long as the file TINY_HOLD is there."""
    hold = os.environ.get("TINY_HOLD")

    passes = 0

    def slow(model: nn.Module, batch: Batch) -> Outputs:
        nonlocal passes
        passes += 1
        if hold and Path(hold).exists():
            time.sleep(HELD_SECONDS if passes <= SOON else LATER_SECONDS)
        return forward(model, batch)

    return replace(points(seed), forward=slow)


def hangs(row: Benchmark, seed: int) -> Task:
    """Comes to a step that never ends, whatever the signal: after some checkpoints, and at once in later starts."""
    steps = 0 if os.environ.get("SLURM_RESTART_COUNT", "0") == "0" else HANGS_AT

    def hang(model: nn.Module, batch: Batch) -> Outputs:
        nonlocal steps
        steps += model.training
        while steps >= HANGS_AT:
            time.sleep(1)
        return forward(model, batch)

    return replace(points(seed), forward=hang)
