"""What is done to the weights alone: backup, ascent and restore, beside what they have to read and write."""

import math
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from benchmarks.performance.record import WeightWork
from benchmarks.performance.timing import Timed, rounds_of
from tram import Adaptive, Euclidean, Fisher
from tram._ascent import ascend_
from tram._weights import swapped
from tram.geometry import Geometry

SIDE = (1536, 384)
COPY = "backup or restore"
EXCHANGE = "exchange with the reference, there and back"
GEOMETRIES: dict[str, tuple[Geometry, int]] = {
    # Tensors read and written by each operator of float32: the norm 1; mask 2, scale 2 and add 3.
    "ascent of SAM": (Euclidean(), 8),
    # Twice times theta 3 each, and the norm of the dual 1.
    "ascent of ASAM": (Adaptive(), 15),
    # g^2 2, times eta 2, plus 1 2, root 2, g over it 3, g over the metric 3, and the norm of the dual 1.
    "ascent of FSAM": (Fisher(), 23),
}


def weight_work(parameters: int, device: torch.device, rounds: int) -> WeightWork:
    """Over weights as large as a transformer's."""
    torch.manual_seed(0)
    count = max(1, parameters // math.prod(SIDE))
    params, grads, backup = ([torch.randn(SIDE, device=device) for _ in range(count)] for _ in range(3))
    given = [grad.clone() for grad in grads]
    radius = torch.tensor(1e-6, device=device)
    steps = {COPY: Timed(partial(torch._foreach_copy_, backup, params))}
    steps[EXCHANGE] = Timed(partial(_exchanged, params, backup))
    for name, (geometry, _) in GEOMETRIES.items():
        steps[name] = Timed(_ascent(geometry, params, grads, radius), partial(torch._foreach_copy_, grads, given))
    seconds = rounds_of(steps, device, rounds)
    return WeightWork(
        parameters=count * math.prod(SIDE),
        seconds={name: median(times) for name, times in seconds.items()},
        bytes_per_parameter={
            COPY: 8.0,
            EXCHANGE: 48.0,
            **{name: 4.0 * tensors for name, (_, tensors) in GEOMETRIES.items()},
        },
    )


def _exchanged(left: list[Tensor], right: list[Tensor]) -> None:
    with swapped(left, right):
        pass


def _ascent(geometry: Geometry, params: list[Tensor], grads: list[Tensor], radius: Tensor) -> Callable[[], object]:
    return lambda: ascend_(geometry, params, grads, grads, radius)
