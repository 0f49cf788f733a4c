"""The graph that autograd has recorded for a loss."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


def parameters_of(loss: Tensor) -> Iterator[nn.Parameter]:
    """Every parameter that `loss.backward()` would give a gradient to, but for those behind reentrant checkpoints.

    A walk over the nodes of the graph in Python: some microseconds for each.
    """
    left: list[Any] = [loss.grad_fn]
    seen: set[Any] = {None}
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::AccumulateGrad" and isinstance(node.variable, nn.Parameter):
            yield node.variable
        left.extend(following for following, _ in node.next_functions)
