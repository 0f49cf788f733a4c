"""DistributedDataParallel in one process: what it wraps and what it broadcasts is not in the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.problems import Batch, classification, same_bits, split
from tram import METHODS, TRAM


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("name", METHODS)
def test_a_wrapped_model_with_batch_normalisation_trains_as_the_bare_one(name: str) -> None:
    found: list[dict[str, Tensor]] = []
    for wrapped in (False, True):
        problem = classification(norm=True)
        called = DistributedDataParallel(problem.model) if wrapped else problem.model

        def forward(batch: Batch, called: torch.nn.Module = called) -> tuple[Tensor, Tensor]:
            logits = called(batch["x"])
            return F.cross_entropy(logits, batch["y"]), logits

        tram = TRAM(called, name, input_module=problem.input_module)
        optimizer = torch.optim.SGD(called.parameters(), lr=0.1, momentum=0.9)
        for batch in problem.batches[:3]:
            tram.backward(forward, *split(batch, 2))
            optimizer.step()
            optimizer.zero_grad()
        found.append(dict(problem.model.state_dict()))
    assert same_bits(found[0], found[1])
