"""accelerate, where it does something else than its user may think."""

from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState, GradientState, PartialState  # type: ignore[import-untyped]
from torch import Tensor

from tests.problems import Batch, classification, same_bits, weights
from tram import TRAM


@pytest.fixture(autouse=True)
def _no_state_of_another_test() -> Iterator[None]:
    """accelerate keeps one for the whole process."""
    for moment in ("before", "after"):
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        if moment == "before":
            yield


def test_accumulation_by_accelerate_is_told_what_to_do_instead() -> None:
    """Where it accumulates, optimizer.zero_grad() does nothing."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    problem = classification()
    model, optimizer = accelerator.prepare(problem.model, torch.optim.SGD(problem.model.parameters(), lr=0.1))
    tram = TRAM(model, "SAM")
    with accelerator.accumulate(model):
        tram.backward(problem.forward, problem.batches[0])
        optimizer.step()
        optimizer.zero_grad()
    told = r"left over.*give backward\(\) all micro-batches.*gradient_accumulation_steps of accelerate at 1"
    with accelerator.accumulate(model), pytest.raises(ValueError, match=told):
        tram.backward(problem.forward, problem.batches[1])


def test_fp16_on_a_cpu_is_full_precision() -> None:
    """As docs/training/accelerate.md says: without autocast and without a scaler."""

    def trained(precision: str) -> dict[str, Tensor]:
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = Accelerator(cpu=True, mixed_precision=precision)
        problem = classification(dtype=torch.float32)
        model, optimizer = accelerator.prepare(problem.model, torch.optim.SGD(problem.model.parameters(), lr=0.1))
        tram = TRAM(model, "TRAM-prev", scaler=accelerator.scaler)

        def forward(batch: Batch) -> tuple[Tensor, Tensor]:
            logits = model(batch["x"])
            return torch.nn.functional.cross_entropy(logits, batch["y"]), logits

        for batch in problem.batches:
            tram.backward(forward, batch)
            optimizer.step()
            optimizer.zero_grad()
        assert tram.scaler is None
        return weights(problem.model)

    full = trained("no")
    assert same_bits(trained("fp16"), full)
    assert not same_bits(trained("bf16"), full)
