"""How what we add to the passes grows: with parameters, with micro-batches, with the vocabulary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.performance.memory import bytes_of
from benchmarks.performance.models import Outputs, Size, Work, work_of
from benchmarks.performance.record import DistanceCost, Growth
from benchmarks.performance.steps import Step, method_step, optimizer_of, plain_step
from benchmarks.performance.timing import Timed, rounds_of
from tram.divergences import ForwardKL, distance

Report = Callable[[str, int, int], None]
GROWING = ("SAM", "ASAM", "FSAM", "TRAM-prev", "TRAM-pre", "TRAM-x")
TENSOR = 10**5
"""Elements of each parameter of a bare model."""


class Bare(nn.Module):
    """Parameters, and a forward that costs nothing beside them: a step is what the estimator does to the weights."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self.scale = nn.Linear(1, 2)
        self.tensors = nn.ParameterList(torch.randn(TENSOR) for _ in range(max(1, parameters // TENSOR)))

    def forward(self, x: Tensor) -> Tensor:
        corner: Tensor = sum((tensor[:1] for tensor in self.tensors), torch.zeros(1, device=x.device))
        return self.scale(x) + corner


def bare_work(parameters: int, device: torch.device) -> Work:
    torch.manual_seed(0)
    model = Bare(parameters).to(device)

    def forward(batch: Mapping[str, Tensor]) -> Outputs:
        logits = model(batch["x"])
        return logits.square().mean(), logits, None

    return Work(model, forward, ({"x": torch.randn(4, 1, device=device)},), model.scale)


def growth_with_parameters(sizes: Sequence[int], device: torch.device, rounds: int, report: Report) -> Growth:
    """Seconds of a step beyond plain Adam's, on bare models: backup, norm, ascent, restore, reference."""
    costs: dict[str, list[float]] = {name: [] for name in GROWING}
    for done, size in enumerate(sizes, start=1):
        work = bare_work(size, device)
        seconds = _rounds_of_growing(work, device, rounds)
        for name in GROWING:
            costs[name].append(float(np.median(np.subtract(seconds[name], seconds["Adam"]))))
        report("growth with parameters", done, len(sizes))
    return _growth("parameters", "seconds beyond Adam's step", sizes, costs)


def _rounds_of_growing(work: Work, device: torch.device, rounds: int) -> dict[str, list[float]]:
    optimizer = optimizer_of(work)
    steps: dict[str, Step] = {"Adam": plain_step(work, optimizer)}
    steps |= {name: method_step(work, optimizer, name)[0] for name in GROWING}
    return rounds_of({name: Timed(step, work.model.zero_grad) for name, step in steps.items()}, device, rounds)


def growth_of_bytes(sizes: Sequence[int], device: torch.device, report: Report) -> Growth:
    """Bytes that are kept between steps, beyond plain Adam's."""
    costs: dict[str, list[float]] = {name: [] for name in GROWING if name != "TRAM-pre"}
    for done, size in enumerate(sizes, start=1):
        work = bare_work(size, device)
        adam = bytes_of(lambda work=work: plain_step(work, optimizer_of(work)), device).kept  # type: ignore[misc]
        for name, found in costs.items():
            held = bytes_of(
                lambda work=work, name=name: method_step(work, optimizer_of(work), name)[0],  # type: ignore[misc]
                device,
            )
            found.append(float(held.kept - adam))
        report("growth of memory", done, len(sizes))
    return _growth("parameters", "bytes kept beyond Adam's", sizes, costs)


def growth_with_micro_batches(
    size: Size, counts: Sequence[int], device: torch.device, rounds: int, report: Report
) -> Growth:
    """Seconds of a step with one example in each micro-batch: what it costs to have many."""
    costs: dict[str, list[float]] = {name: [] for name in ("Adam", *GROWING)}
    for done, count in enumerate(counts, start=1):
        work = work_of(replace(size, examples=count, micro_batches=count), device, torch.float32)
        seconds = _rounds_of_growing(work, device, rounds)
        for name, found in costs.items():
            found.append(float(np.median(seconds[name])))
        report("growth with micro-batches", done, len(counts))
    return _growth("micro-batches", "seconds of a step", counts, costs)


def growth_with_vocabulary(rows: int, sizes: Sequence[int], device: torch.device, rounds: int) -> Growth:
    """Seconds of d over `rows` predicted tokens."""
    found = []
    for size in sizes:
        torch.manual_seed(0)
        left = torch.randn(rows, size, device=device)
        right = left + 0.1 * torch.randn_like(left)
        steps = {"d": Timed(partial(distance, ForwardKL(), left, right))}
        found.append(float(np.median(rounds_of(steps, device, rounds)["d"])))
    return _growth("vocabulary", f"seconds of d over {rows} tokens", sizes, {"ForwardKL": found})


def distance_cost(size: Size, device: torch.device, rounds: int) -> DistanceCost:
    """d between the logits of `size`'s batch and others, beside one forward without a gradient that makes them.

    Of both the median over rounds in which they take turns.
    """
    work = work_of(size, device, torch.float32)

    def forward() -> Tensor:
        with torch.no_grad():
            return torch.cat([work.forward(batch)[1] for batch in work.micro_batches])

    logits = forward()
    other = logits + 0.1 * torch.randn_like(logits)
    rows = logits.flatten(0, -2)[:64]
    current = logits.clone().requires_grad_()

    def with_gradient() -> Tensor:
        return torch.autograd.grad(distance(ForwardKL(), other, current), current)[0]

    steps: dict[str, Step] = {"forward": forward, "d": lambda: distance(ForwardKL(), other, logits)}
    steps["with gradient"] = with_gradient
    steps |= {name: partial(piece, rows) for name, piece in PIECES.items()}
    seconds = rounds_of({name: Timed(step) for name, step in steps.items()}, device, rounds)
    found = {name: float(np.median(times)) for name, times in seconds.items()}
    scale = logits.numel() / rows.numel()
    return DistanceCost(
        model=size.name,
        rows=logits[..., 0].numel(),
        vocabulary=logits.shape[-1],
        seconds=found["d"],
        forward_seconds=found["forward"],
        extra_peak_bytes=bytes_of(lambda: lambda: distance(ForwardKL(), other, logits), device).peak,
        gradient_seconds=found["with gradient"],
        gradient_peak_bytes=bytes_of(lambda: with_gradient, device).peak,
        logits_bytes=logits.numel() * 4,
        pieces={name: scale * found[name] for name in PIECES},
    )


PIECES: dict[str, Callable[[Tensor], object]] = {
    "log-softmax": lambda rows: [torch.log_softmax(row, -1) for row in rows],
    "exp": lambda rows: [row.exp() for row in rows],
    "expm1": lambda rows: [torch.expm1(row) for row in rows],
    "sum": lambda rows: [row.sum(-1) for row in rows],
    "softmax backward": lambda rows: [torch._log_softmax_backward_data(row, row, -1, row.dtype) for row in rows],
    "product": lambda rows: [row * row for row in rows],
}
"""What d is made of: log-softmax and exp once for each side, expm1 and the sum once; and its gradient a log-softmax's
backward and a dozen operations as cheap as a product. Row by row, as a CPU's cache holds them."""


def _growth(quantity: str, unit: str, sizes: Sequence[float], costs: Mapping[str, Sequence[float]]) -> Growth:
    return Growth(
        quantity=quantity,
        unit=unit,
        sizes=tuple(map(float, sizes)),
        costs={name: tuple(found) for name, found in costs.items()},
        exponents={name: _exponent(sizes, found) for name, found in costs.items()},
    )


def _exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Of the power law through the costs: the slope of their logarithms, by least squares. None if one is not > 0."""
    if min(costs) <= 0:
        return None
    return float(np.polyfit(np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(costs, dtype=float)), 1)[0])
