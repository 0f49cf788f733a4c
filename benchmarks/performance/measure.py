"""One model: every candidate's step timed in turns with its passes, and its bytes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.performance.memory import Bytes, bytes_of
from benchmarks.performance.models import Work, work_of
from benchmarks.performance.plan import Measured
from benchmarks.performance.record import ModelCost, StepCost
from benchmarks.performance.steps import (
    KEPT,
    PEERS,
    PLAIN,
    Passes,
    Step,
    candidates,
    floor_pieces,
    optimizer_of,
    passes_of,
)
from benchmarks.performance.timing import Timed, floor, ratio, rounds_of
from tram import METHODS

PIECES = ("ungraded", "graded", "update")

Report = Callable[[str, int, int], None]


def model_cost(measured: Measured, device: torch.device, report: Report) -> ModelCost:
    """Times, and where they are asked for bytes, of each step on the model."""
    size = measured.size
    work = work_of(size, device, getattr(torch, measured.precision))
    optimizer = optimizer_of(work)
    steps = candidates(work, measured.steps)
    pieces = floor_pieces(work, optimizer)
    clear = partial(_without_gradients, work)

    def with_gradients() -> None:
        clear()
        pieces["graded"]()

    timed = {name: Timed(step, clear) for name, step in steps.items()}
    timed |= {name: Timed(pieces[name], with_gradients if name == "update" else clear) for name in PIECES}
    seconds = rounds_of(timed, device, measured.rounds, partial(report, "rounds"))
    clear()
    # Other implementations point weights at new storage, which leaves nothing to compare.
    ours = [name for name in steps if name not in PEERS and measured.with_bytes]
    held = _bytes_of_all(work, ours, device, report)
    return ModelCost(
        model=size.name,
        kind=size.kind,
        parameters=work.parameters,
        precision=measured.precision,
        examples=size.examples,
        length=size.length,
        micro_batches=size.micro_batches,
        rounds=measured.rounds,
        logits=_logits(work),
        forward_flops=_forward_flops(work),
        passes_seconds={name: median(seconds[name]) for name in PIECES},
        steps={name: _cost(work, name, seconds, held) for name in steps},
    )


def _cost(work: Work, name: str, seconds: Mapping[str, list[float]], held: Mapping[str, Bytes]) -> StepCost:
    passes = _passes(name)
    bytes_ = held.get(name)
    return StepCost(
        seconds=median(seconds[name]),
        over_floor=ratio(seconds[name], floor(seconds, passes)),
        over_adam=ratio(seconds[name], seconds[PLAIN]),
        kept_bytes_per_parameter=None if bytes_ is None else (bytes_.kept - held[PLAIN].kept) / work.parameters,
        peak_bytes=None if bytes_ is None else bytes_.peak,
        passes=(passes.ungraded, passes.graded),
    )


def _logits(work: Work) -> int:
    with torch.no_grad():
        return sum(work.forward(batch)[1].numel() for batch in work.micro_batches)


def _forward_flops(work: Work) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for batch in work.micro_batches:
            work.forward(batch)
    return counter.get_total_flops()


def _passes(name: str) -> Passes:
    if name in PEERS:
        return Passes(0, 2)
    method = METHODS[PLAIN if name == PLAIN else "TRAM-pre" if name == KEPT else name]
    return passes_of(method, kept=name == KEPT)


def _bytes_of_all(work: Work, names: Sequence[str], device: torch.device, report: Report) -> dict[str, Bytes]:
    """Of each step, made anew with an Adam of its own, so that what it keeps is seen to be allocated."""
    held = {}
    for done, name in enumerate(names, start=1):
        held[name] = bytes_of(partial(_made_anew, work, name), device)
        _without_gradients(work)
        report("bytes", done, len(names))
    return held


def _made_anew(work: Work, name: str) -> Step:
    return candidates(work, [name])[name]


def _without_gradients(work: Work) -> None:
    for param in work.model.parameters():
        param.grad = None
