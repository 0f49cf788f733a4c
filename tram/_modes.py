"""Side effects of a forward pass, held back: dropout, running statistics, random numbers."""

import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Normalise by the batch's statistics as training does, without moving the running ones.

    Copies of the buffers are moved instead. A momentum of 0 would still count batches and let a NaN in, and layers
    without buffers are not what DistributedDataParallel and SyncBatchNorm expect.
    """
    replaced: list[tuple[nn.Module, str, Tensor]] = []
    try:
        for module in model.modules():
            if isinstance(module, _BatchNorm | _InstanceNorm) and module.training:
                for name in _STATISTICS:
                    buffer = getattr(module, name, None)
                    if buffer is not None:
                        replaced.append((module, name, buffer))
                        setattr(module, name, buffer.clone())
        yield
    finally:
        for module, name, buffer in replaced:
            setattr(module, name, buffer)


@contextmanager
def dropout_off(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for all but the normalisation layers, which go on normalising by the batch.

    A reference at the current weights then differs from the current model by dropout alone.
    """
    switched = [
        module for module in model.modules() if module.training and not isinstance(module, _BatchNorm | _InstanceNorm)
    ]
    try:
        for module in switched:
            module.training = False
        yield
    finally:
        for module in switched:
            module.training = True


def normalises_by_batch(model: nn.Module) -> bool:
    """Whether an example's output depends on the others in its batch."""
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())


@dataclass(frozen=True)
class RandomState:
    """The states of the global generators that a forward may draw from; NumPy's where the program has imported it."""

    of_torch: dict[torch.device, Tensor]
    of_python: Any
    of_numpy: Any | None


def random_state(devices: Iterable[torch.device]) -> RandomState:
    """The states of the global generators of these devices and of the CPU."""
    of_torch = {torch.device("cpu"): torch.get_rng_state()}
    for device in devices:
        if device.type not in ("cpu", "meta"):
            of_torch[device] = torch.get_device_module(device).get_rng_state(device)
    numpy = _numpy_random()
    return RandomState(of_torch, random.getstate(), None if numpy is None else numpy.get_state(legacy=False))


def set_random_state(state: RandomState) -> None:
    for device, value in state.of_torch.items():
        if device.type == "cpu":
            torch.set_rng_state(value)
        else:
            torch.get_device_module(device).set_rng_state(value, device)
    random.setstate(state.of_python)
    if state.of_numpy is not None:
        sys.modules["numpy.random"].set_state(state.of_numpy)


@contextmanager
def isolated_randomness(devices: Iterable[torch.device], start: RandomState | int | None = None) -> Iterator[None]:
    """Draw from a given state or seed inside; outside, nothing was drawn."""
    outside = random_state(devices)
    try:
        if isinstance(start, int):
            _seed(start, outside.of_torch)
        elif start is not None:
            set_random_state(start)
        yield
    finally:
        set_random_state(outside)


def _seed(seed: int, devices: Iterable[torch.device]) -> None:
    """Seed these devices alone: `torch.manual_seed` would seed every one that the machine has."""
    for device in devices:
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            backend = torch.get_device_module(device)
            with backend.device(device):
                backend.manual_seed(seed)
    random.seed(seed)
    if (numpy := _numpy_random()) is not None:
        numpy.seed(seed % 2**32)


def _numpy_random() -> Any | None:
    """numpy.random where the program has imported it: elsewhere no forward draws from it, and TRAM needs no NumPy."""
    return sys.modules.get("numpy.random")
