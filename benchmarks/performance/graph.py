"""A whole step as one CUDA graph: captured if it can be, and why not if it cannot."""

from collections.abc import Callable, Sequence
from statistics import median

import torch

from benchmarks.performance.models import Size, work_of
from benchmarks.performance.record import Captured
from benchmarks.performance.steps import LR
from benchmarks.performance.timing import seconds_of
from tram import METHODS, TRAM


def captured(size: Size, names: Sequence[str], rounds: int, report: Callable[[str, int, int], None]) -> Captured:
    """Of each method on the model of `size`: seconds as usual, and replayed. Needs a GPU."""
    eager, replayed, refused = {}, {}, {}
    for done, name in enumerate(names, start=1):
        step = _step(size, name)
        for _ in range(3):
            step()
        eager[name] = _median(step, rounds)
        try:
            replayed[name] = _median(_graph_of(step).replay, rounds)
        except RuntimeError as error:
            refused[name] = str(error).partition("\n")[0]
            torch.cuda.synchronize()
        report("graphs", done, len(names))
    return Captured(model=size.name, eager_seconds=eager, replayed_seconds=replayed, refused=refused)


def _step(size: Size, name: str) -> Callable[[], None]:
    work = work_of(size, torch.device("cuda"), torch.bfloat16)
    optimizer = torch.optim.Adam(work.model.parameters(), lr=LR, capturable=True)
    tram = TRAM(work.model, METHODS[name], input_module=work.input_module)

    def step() -> None:
        tram.backward(work.forward, *work.micro_batches)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _graph_of(step: Callable[[], None]) -> torch.cuda.CUDAGraph:
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def _median(step: Callable[[], object], rounds: int) -> float:
    return median(seconds_of(step, torch.device("cuda")) for _ in range(rounds))
