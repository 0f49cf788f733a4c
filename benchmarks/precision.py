"""The arithmetic of a forward: weights are float32 always, and a GPU may multiply in half the bits."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from benchmarks.row import Precision
from benchmarks.task import Batch, Forward, Outputs


def used_precision(precision: Precision, device: torch.device) -> Precision:
    """What a recipe's precision comes to on `device`: on a CPU everything is float32."""
    return precision if device.type == "cuda" else "float32"


def autocast(forward: Forward, device: torch.device, precision: Precision) -> Forward:
    """`forward` under autocast, or as it is for float32."""
    if used_precision(precision, device) == "float32":
        return forward
    return partial(_autocast, forward, device.type, getattr(torch, precision))


def _autocast(
    forward: Callable[[nn.Module, Batch], Outputs], kind: str, dtype: torch.dtype, model: nn.Module, batch: Batch
) -> Outputs:
    with torch.autocast(kind, dtype):
        return forward(model, batch)
