"""The README's code runs as printed."""

import re
from pathlib import Path
from typing import Any

import torch

from tests.problems import classification
from tram import TRAM, Method

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_loop_trains_as_printed() -> None:
    problem = classification()
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    names: dict[str, Any] = {
        "model": problem.model,
        "loader": problem.batches * 5,
        "forward": problem.forward,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer),
    }
    exec(SNIPPETS[0], names)
    assert isinstance(names["tram"], TRAM)
    assert names["tram"].steps == 60
    assert names["tram"].perturbation_norm > 0


def test_the_method_of_ones_own_works_as_printed() -> None:
    names: dict[str, Any] = {}
    exec(SNIPPETS[1], names)
    assert isinstance(names["method"], Method)
    problem = classification()
    tram = TRAM(problem.model, names["method"])
    for batch in problem.batches:
        tram.backward(problem.forward, batch)
        problem.model.zero_grad()
    assert tram.steps == len(problem.batches)
