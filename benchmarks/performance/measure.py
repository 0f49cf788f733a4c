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
from benchmarks.performance.within import Within
from tram import METHODS

PIECES = ("ungraded", "graded", "update")
AGAIN = 3
"""How often each piece is timed in a round: every ratio depends on the pieces, and each step on itself alone."""

Report = Callable[[str, int, int], None]


def model_cost(measured: Measured, device: torch.device, report: Report) -> ModelCost:
    """Times, and where they are asked for bytes, of each step on the model."""
    size = measured.size
    work = work_of(size, device, getattr(torch, measured.precision))
    optimizer = optimizer_of(work)
    within, inside = Within(), {}
    # On a GPU the host would have to wait for each pass.
    steps = candidates(work if device.type == "cuda" else within.work(work), measured.steps)
    if device.type != "cuda":
        inside = {name: _noted(step, within) for name, step in steps.items()}
        steps = {name: noted for name, (noted, _) in inside.items()}
    pieces = floor_pieces(work, optimizer)
    timed = _in_turns(work, steps, pieces)
    seconds = _pieces_averaged(rounds_of(timed, device, measured.rounds, partial(report, "rounds")))
    work.model.zero_grad()
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
        steps={
            # The first round is not counted.
            name: _cost(work, name, seconds, inside[name][1][1 : measured.rounds + 1] if inside else None, held)
            for name in steps
        },
    )


def _in_turns(work: Work, steps: Mapping[str, Step], pieces: Mapping[str, Step]) -> dict[str, Timed]:
    """The steps, with the pieces spread among them."""
    clear = work.model.zero_grad

    def with_gradients() -> None:
        clear()
        pieces["graded"]()

    timed: dict[str, Timed] = {}
    names = list(steps)
    for part in range(AGAIN):
        for name in PIECES:
            timed[f"{name} {part}"] = Timed(pieces[name], with_gradients if name == "update" else clear)
        for name in names[part * len(names) // AGAIN : (part + 1) * len(names) // AGAIN]:
            timed[name] = Timed(steps[name], clear)
    return timed


def _pieces_averaged(seconds: Mapping[str, list[float]]) -> dict[str, list[float]]:
    found = dict(seconds)
    for name in PIECES:
        times = [found.pop(f"{name} {part}") for part in range(AGAIN)]
        found[name] = [sum(ones) / AGAIN for ones in zip(*times, strict=True)]
    return found


def _noted(step: Step, within: Within) -> tuple[Step, list[float]]:
    """The same step, and the seconds of the passes within each call of it."""
    found: list[float] = []

    def noted() -> None:
        with within.watched():
            step()
        found.append(within.seconds)

    return noted, found


def _cost(
    work: Work,
    name: str,
    seconds: Mapping[str, list[float]],
    inside: list[float] | None,
    held: Mapping[str, Bytes],
) -> StepCost:
    passes = _passes(name)
    bytes_ = held.get(name)
    return StepCost(
        seconds=median(seconds[name]),
        over_floor=ratio(seconds[name], floor(seconds, passes)),
        over_passes=None if inside is None else ratio(seconds[name], inside),
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
        work.model.zero_grad()
        report("bytes", done, len(names))
    return held


def _made_anew(work: Work, name: str) -> Step:
    return candidates(work, [name])[name]
