"""Bytes of a step: what stays between steps, and the most that is held within one."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.performance.steps import Step


@dataclass(frozen=True)
class Bytes:
    """`kept` beyond what was there before the first step; `peak` within a later step, above what is held before it."""

    kept: int
    peak: int


# The profiler of a torch that was built for GPUs says on standard error that it found none.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def bytes_of(make: Callable[[], Step], device: torch.device) -> Bytes:
    """Of the step that `make` gives, whose first call allocates what it keeps."""
    measure = _on_gpu if device.type == "cuda" else _on_cpu
    steps: list[Step] = []

    def first() -> None:
        steps.append(make())
        steps[0]()

    kept, _ = measure(first)
    _, peak = measure(steps[0])
    return Bytes(kept, peak)


def _on_gpu(step: Step) -> tuple[int, int]:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated() - before, torch.cuda.max_memory_allocated() - before


def _on_cpu(step: Step) -> tuple[int, int]:
    """By the allocator's own events, in the order in which they came."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    result = profile.profiler
    assert result is not None
    assert result.kineto_results is not None
    events = [event for event in result.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return held, peak
