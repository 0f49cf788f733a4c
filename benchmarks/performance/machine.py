"""The machine that was measured: a name for its file, and what it can do at most."""

import os
import re
from collections.abc import Callable

import torch

from benchmarks.environment import cpu_model
from benchmarks.errors import RunError
from benchmarks.performance.plan import PLANS
from benchmarks.performance.record import Roof
from benchmarks.performance.timing import seconds_of

SIDE = {"cpu": 1024, "cuda": 8192}
COPIED_BYTES = {"cpu": 2**27, "cuda": 2**31}


def measured_machine(sizes: str) -> tuple[torch.device, str]:
    """The device of a plan, and the name of its record: a trial has one of its own.

    Raises RunError where the plan needs a GPU and there is none.
    """
    device = torch.device(PLANS[sizes].device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RunError(f"--sizes {sizes} takes a GPU, and torch finds none here. --sizes cpu measures this machine.")
    return device, machine_name(device) + ("-tiny" if sizes == "tiny" else "")


def machine_name(device: torch.device) -> str:
    """Model and number of cores, as `intel-xeon-processor-2-cores`; never a host's name."""
    if device.type == "cuda":
        return _slug(torch.cuda.get_device_name(device))
    return _slug(f"{cpu_model() or 'cpu'} {os.cpu_count()} cores")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", text.lower())).strip("-")


def roof_of(device: torch.device) -> Roof:
    """Throughput of one large product of matrices in each precision, and of one large copy: the best of five."""
    side = SIDE[device.type]
    products = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        seconds = _best(lambda left=left, right=right: left @ right, device)  # type: ignore[misc]
        products[str(dtype).removeprefix("torch.")] = 2 * side**3 / seconds
    count = COPIED_BYTES[device.type] // 4
    source, target = torch.randn(count, device=device), torch.empty(count, device=device)
    copied = _best(lambda: target.copy_(source), device)
    return Roof(matrix_flops=products, copy_bytes=2 * 4 * count / copied)


def _best(step: Callable[[], object], device: torch.device) -> float:
    step()
    return min(seconds_of(step, device) for _ in range(5))
