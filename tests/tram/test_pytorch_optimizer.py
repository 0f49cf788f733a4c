"""SAM and ASAM of another library give the same weights, where that library is right: one batch, one process."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.problems import Batch, Problem, classification, language_modelling, weights
from tram import TRAM, Adaptive, Ascent, Euclidean, Method

SAM: Any = pytest.importorskip("pytorch_optimizer").SAM


def by_the_other(problem: Problem, base: type[torch.optim.Optimizer], adaptive: bool, **options: Any) -> None:
    optimizer = SAM(problem.model.parameters(), base, rho=0.3, adaptive=adaptive, **options)
    for batch in problem.batches:

        def closure(batch: Batch = batch) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = problem.forward(batch)[0]
            loss.backward()
            return loss

        closure()
        optimizer.step(closure)


def by_ours(problem: Problem, base: type[torch.optim.Optimizer], adaptive: bool, **options: Any) -> None:
    method = Method(ascent=Ascent(Adaptive() if adaptive else Euclidean(), radius=0.3))
    tram, optimizer = TRAM(problem.model, method), base(problem.model.parameters(), **options)
    for batch in problem.batches:
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("adaptive", [False, True], ids=["SAM", "ASAM"])
@pytest.mark.parametrize("make", [classification, language_modelling], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("base", "options"),
    [(torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}), (torch.optim.AdamW, {"lr": 0.01})],
    ids=["SGD", "AdamW"],
)
def test_the_weights_are_those_of_pytorch_optimizer(make: Any, base: Any, options: Any, adaptive: bool) -> None:
    ours, theirs = make(), make()
    by_ours(ours, base, adaptive, **options)
    by_the_other(theirs, base, adaptive, **options)
    expected = weights(theirs.model)
    for name, value in weights(ours.model).items():
        # That library sums the norm up in single precision.
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)
