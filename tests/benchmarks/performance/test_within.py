"""The passes of a step, timed within it by a clock that the test moves."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from benchmarks.performance import within
from benchmarks.performance.models import Outputs, Work
from benchmarks.performance.steps import candidates
from benchmarks.performance.within import Within

FORWARD, BACKWARD, UPDATE = 1.0, 10.0, 100.0


class Slow(torch.autograd.Function):
    """Takes BACKWARD of the clock to be differentiated."""

    @staticmethod
    def forward(ctx: object, x: Tensor, clock: list[float]) -> Tensor:
        ctx.clock = clock  # type: ignore[attr-defined]
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        ctx.clock[0] += BACKWARD  # type: ignore[attr-defined]
        return grad, None


@pytest.mark.parametrize(
    ("name", "forwards", "backwards"),
    [("Adam", 1, 1), ("SAM", 2, 2), ("TRAM-prev", 3, 2), ("TRPO", 2, 1), ("two-call ASAM", 2, 2)],
)
def test_forwards_backwards_and_the_update_are_added_up_and_nothing_else(
    name: str, forwards: int, backwards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(within.time, "process_time", lambda: clock[0])
    model = nn.Linear(3, 2)

    def forward(batch: Mapping[str, Tensor]) -> Outputs:
        clock[0] += FORWARD
        logits = Slow.apply(model(batch["x"]), clock)
        return logits.square().mean(), logits, None

    def update(optimizer: torch.optim.Adam) -> None:
        clock[0] += UPDATE

    monkeypatch.setattr(torch.optim.Adam, "step", update)
    watch = Within()
    work = watch.work(Work(model, forward, ({"x": torch.randn(4, 3)},), model))
    step = candidates(work, [name])[name]
    for _ in range(2):
        clock[0] += 1000.0  # between the steps
        with watch.watched():
            step()
        assert watch.seconds == forwards * FORWARD + backwards * BACKWARD + UPDATE


def test_nothing_stays_changed() -> None:
    before = torch.Tensor.backward, torch.optim.Adam.step
    watch = Within()
    with watch.watched():
        assert torch.Tensor.backward is not before[0]
    with pytest.raises(KeyError), watch.watched():
        raise KeyError
    assert (torch.Tensor.backward, torch.optim.Adam.step) == before
