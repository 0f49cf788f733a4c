"""A model spread over two devices, without owning a second one: fake tensors refuse to mix devices as real ones do."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from tram import METHODS, TRAM


class Pipeline(nn.Module):
    """Its middle stage lives on another device than its ends."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, device="cpu")
        self.middle = nn.Linear(4, 4, device="meta")
        self.last = nn.Linear(4, 3, device="cpu")

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x).to("meta")).to("cpu"))


class SameDevice(TorchDispatchMode):
    """Refuses to stack or concatenate across devices, which fake tensors let pass and real ones do not."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func in (torch.ops.aten.stack.default, torch.ops.aten.cat.default):
            devices = {tensor.device for tensor in args[0]}
            assert len(devices) == 1, f"{func} over {devices}"
        return func(*args, **(kwargs or {}))


def test_fake_tensors_refuse_to_mix_devices() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError, match="same device"):
        torch.ones(3, device="meta") + torch.ones(3)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_each_device_to_itself(name: str) -> None:
    with FakeTensorMode(), SameDevice():
        model, x, y = Pipeline(), torch.randn(5, 4), torch.zeros(5, dtype=torch.long)

        def forward(_: None) -> tuple[Tensor, Tensor]:
            logits = model(x)
            return F.cross_entropy(logits, y), logits

        tram = TRAM(model, name, input_module=model.first)
        for _ in range(2):
            model.zero_grad()
            tram.backward(forward, None)
        for param in model.parameters():
            assert param.grad is not None
            assert param.grad.device == param.device
        assert tram.steps == 2
