"""What one step asks of its device beyond its passes: waits of the host, and operators, each a launch of a kernel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.performance.models import Outputs, Size, Work, work_of
from benchmarks.performance.record import Counts
from benchmarks.performance.steps import floor_pieces, optimizer_of, passes_of
from tram import METHODS, TRAM

WAITS = ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal")


class _Calls(TorchDispatchMode):
    """How often a step waits for its device, and how many operators it runs that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.operators = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.waits += func.name().partition(".")[0] in WAITS
        self.operators += not (func.is_view or func.namespace == "prim")
        return func(*args, **(kwargs or {}))


def counts(size: Size, tensors: Sequence[int], report: Callable[[str, int, int], None]) -> Counts:
    """Of every method: waits on the model of `size`, and launches on bare models of so many weights.

    Launches are counted on fake tensors of the meta device, where the code takes the way that it takes on a GPU.
    """
    methods = [name for name in METHODS if name not in ("SGD", "Adam")]
    work = work_of(size, torch.device("cpu"), torch.float32)
    waits, launches = {}, {}
    for done, name in enumerate(methods, start=1):
        waits[name] = _waits(work, name)
        launches[name] = tuple(_launches(count, name) for count in tensors)
        report("counts", done, len(methods))
    return Counts(tensors=tuple(tensors), host_waits=waits, launches=launches)


def _waits(work: Work, name: str) -> int:
    """Beyond those of plain steps: the base optimizer's own, and those of the model, are not ours."""
    optimizer = optimizer_of(work)
    tram = TRAM(work.model, METHODS[name], input_module=work.input_module)
    graded, passes = floor_pieces(work, optimizer)["graded"], passes_of(METHODS[name])
    theirs = sum(_calls(step).waits for step in [graded] * (passes.ungraded + passes.graded))
    work.model.zero_grad()
    ours = _calls(lambda: tram.backward(work.forward, *work.micro_batches)).waits
    work.model.zero_grad()
    return ours - theirs


class _Bare(nn.Module):
    """So many weights, of which a forward uses two, and gives the others gradients without an operator for each.

    Those two are on the CPU, for neither noise nor autocast know the meta device.
    """

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(4, 4, bias=False)
        self.outputs = nn.Linear(4, 3, bias=False)
        self.others = nn.ParameterList(torch.zeros(4, device="meta") for _ in range(tensors - 2))
        self.gradients = [torch.zeros(4, device="meta") for _ in self.others]

    def forward(self, x: Tensor) -> Tensor:
        for param, gradient in zip(self.others, self.gradients, strict=True):
            param.grad = gradient
        logits: Tensor = self.outputs(self.inputs(x))
        return logits


def _launches(tensors: int, name: str) -> int:
    with FakeTensorMode():
        model = _Bare(tensors)

        def forward(batch: Mapping[str, Tensor]) -> Outputs:
            logits = model(batch["x"])
            return logits.square().mean(), logits, None

        work = Work(model, forward, ({"x": torch.zeros(2, 4)},), model.inputs)
        passes, pieces = passes_of(METHODS[name]), floor_pieces(work, torch.optim.SGD(model.parameters()))
        theirs = 0
        for piece, count in (("ungraded", passes.ungraded), ("graded", passes.graded)):
            theirs += count * _calls(pieces[piece]).operators
            model.zero_grad()
        tram = TRAM(model, METHODS[name], input_module=model.inputs)
        tram.backward(forward, *work.micro_batches)  # the first step makes what later ones use
        model.zero_grad()
        return _calls(lambda: tram.backward(forward, *work.micro_batches)).operators - theirs


def _calls(step: Callable[[], object]) -> _Calls:
    with _Calls() as calls:
        step()
    return calls
