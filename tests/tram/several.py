"""What the tests of several processes share: one process that stands in for two, and trajectories to compare."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.problems import Batch, Problem, split
from tram import METHODS, TRAM, Ascent, Fisher, Method

SEPARATE = Method(ascent=Ascent(Fisher(), 0.1, noise_std=0.1, fisher_gradient="separate"))
EVERY_METHOD = {**METHODS, "TRAM-Fisher, separate": SEPARATE}
REPORTED = ("distance", "radius", "gradient_norm", "perturbation_norm", "degenerate_steps")
WORLD = 2


def calling(called: nn.Module, problem: Problem) -> Callable[[Batch], tuple[Tensor, Tensor]]:
    """The problem's forward through `called`: its model, wrapped."""

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        if "tokens" in batch:
            logits = called(batch["tokens"])[:, :-1]
            return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten()), logits
        logits = called(batch["x"])
        return F.cross_entropy(logits, batch["y"]), logits

    return forward


@contextmanager
def standing_in_for(rank_of: Callable[[int], int], index_of: Callable[[int], int]) -> Iterator[None]:
    """Within it, TRAM draws for micro-batch i the noise that process rank_of(i) draws for its micro-batch index_of(i).

    The seeds are written out here once more: those of rank 0 are those of one process.
    """

    def derived_seed(self: TRAM, purpose: str) -> int:
        index = self.micro_batches_seen
        rank = rank_of(index)
        key = f"{self.seed} {self.steps} {index_of(index)} {purpose}" + (f" {rank}" if rank else "")
        return random.Random(key).getrandbits(63)

    original = TRAM._derived_seed
    TRAM._derived_seed = derived_seed  # type: ignore[method-assign]
    try:
        yield
    finally:
        TRAM._derived_seed = original  # type: ignore[method-assign]


def whole(param: Tensor) -> Tensor:
    """A parameter's values on every process, whatever it is sharded over."""
    return param.full_tensor().detach() if hasattr(param, "full_tensor") else param.detach()


def state_of(problem: Problem, tram: TRAM) -> dict[str, Tensor]:
    found = {name: whole(param).clone() for name, param in problem.model.named_parameters()}
    for name in REPORTED:
        value = getattr(tram, name)
        if value is not None:
            found[name] = value.clone().double()
    return found


def train(
    problem: Problem, tram: TRAM, called: nn.Module, steps: list[list[Batch]], **sgd: Any
) -> list[dict[str, Tensor]]:
    """Momentum SGD over `steps`, each a list of micro-batches: the weights and what TRAM reports after each."""
    optimizer = torch.optim.SGD(called.parameters(), lr=0.1, momentum=0.9, **sgd)
    forward, found = calling(called, problem), []
    for micro_batches in steps:
        tram.backward(forward, *micro_batches)
        optimizer.step()
        optimizer.zero_grad()
        found.append(state_of(problem, tram))
    return found


def of_one_process(
    make: Callable[[], Problem], method: Method, steps: int, micro_batches: int
) -> list[dict[str, Tensor]]:
    """Two processes' training in one: their micro-batches one after the other, with each process's noise."""
    problem = make()
    tram = TRAM(problem.model, method, input_module=problem.input_module)
    pieces = [split(batch, WORLD * micro_batches) for batch in problem.batches[:steps]]
    with standing_in_for(lambda index: index // micro_batches, lambda index: index % micro_batches):
        return train(problem, tram, problem.model, pieces)


def own_part(problem: Problem, rank: int, steps: int, micro_batches: int) -> list[list[Batch]]:
    pieces = [split(batch, WORLD * micro_batches) for batch in problem.batches[:steps]]
    return [step[rank * micro_batches : (rank + 1) * micro_batches] for step in pieces]


def assert_same_course(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> None:
    """Equal up to the order in which float64 sums are rounded."""
    assert len(found) == len(expected)
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.keys() == other.keys(), (one.keys(), other.keys())
        for name in other:
            close = torch.allclose(one[name], other[name], rtol=1e-9, atol=1e-11)
            assert close, f"step {step}: {name} is {one[name]} and not {other[name]}"


class NoHostSync(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten._local_scalar_dense.default:
            raise AssertionError("a tensor was read on the host")
        return func(*args, **(kwargs or {}))


@contextmanager
def counted_all_reduces() -> Iterator[list[int]]:
    """Sizes of the tensors that `dist.all_reduce` is called with, from Python: those of the wrappers are not seen."""
    sizes: list[int] = []
    original = dist.all_reduce

    def counting(tensor: Tensor, *args: Any, **options: Any) -> Any:
        sizes.append(tensor.numel())
        return original(tensor, *args, **options)

    dist.all_reduce = counting
    try:
        yield sizes
    finally:
        dist.all_reduce = original
