"""The steps that are timed against each other: every method's, plain Adam's, other implementations', and the passes."""

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.performance.models import Work
from tram import METHODS, TRAM, KeptLogits, Method
from tram.references import NoisyInput

Step = Callable[[], object]
LR = 1e-7
"""Small enough that the weights of all candidates, which share one model, hardly move while they are timed."""

KEPT = "TRAM-pre, logits kept"
PEERS = ("pytorch_optimizer SAM", "pytorch_optimizer ASAM", "two-call SAM", "two-call ASAM")
PLAIN = "Adam"


@dataclass(frozen=True)
class Passes:
    """What a method's step is made of: forwards without a gradient, forwards with one and its backward."""

    ungraded: int
    graded: int


def passes_of(method: Method, kept: bool = False) -> Passes:
    """The passes that the mathematics of `method` asks for, of each micro-batch.

    A noisy branch that the penalty differentiates (R3F) is a forward and backward of its own; the published counts call
    that two forwards and one backward, for the two are differentiated together.
    """
    descents = 1 if method.ascent is None else 2
    separate = 1 if method.ascent is not None and method.ascent.fisher_gradient == "separate" else 0
    region = method.trust_region
    if region is None:
        return Passes(0, descents + separate)
    if isinstance(region.reference, NoisyInput):
        # As a radius it is looked at once, without a gradient; as a penalty it is part of every objective.
        return Passes(0, 2 * descents) if method.penalty > 0 else Passes(1, descents)
    return Passes(0 if kept else 1, descents + separate)


def optimizer_of(work: Work) -> torch.optim.Adam:
    return torch.optim.Adam(work.model.parameters(), lr=LR)


def floor_pieces(work: Work, optimizer: torch.optim.Optimizer) -> dict[str, Step]:
    """The passes alone: `ungraded` forward, `graded` forward with its backward, and the base optimizer's `update`."""

    def ungraded() -> None:
        with torch.no_grad():
            for batch in work.micro_batches:
                work.forward(batch)

    def graded() -> None:
        for batch in work.micro_batches:
            (work.forward(batch)[0] / len(work.micro_batches)).backward()

    return {"ungraded": ungraded, "graded": graded, "update": optimizer.step}


def plain_step(work: Work, optimizer: torch.optim.Optimizer) -> Step:
    graded = floor_pieces(work, optimizer)["graded"]

    def step() -> None:
        graded()
        optimizer.step()
        optimizer.zero_grad()

    return step


def method_step(work: Work, optimizer: torch.optim.Optimizer, name: str) -> tuple[Step, TRAM]:
    """A whole step of the method, as a training loop makes it."""
    kept = KeptLogits(sum(len(next(iter(batch.values()))) for batch in work.micro_batches)) if name == KEPT else None
    tram = TRAM(
        work.model,
        METHODS["TRAM-pre" if name == KEPT else name],
        input_module=work.input_module,
        reference_logits=kept,
    )
    batches: tuple[Any, ...] = work.micro_batches
    if kept is not None:
        batches = _numbered(work)

    def step() -> None:
        tram.backward(work.forward, *batches)
        optimizer.step()
        optimizer.zero_grad()

    return step, tram


def _numbered(work: Work) -> tuple[Any, ...]:
    """The micro-batches with the index of each of their examples, by which logits are kept."""
    first, found = 0, []
    for batch in work.micro_batches:
        count = len(next(iter(batch.values())))
        found.append({**batch, "index": torch.arange(first, first + count)})
        first += count
    return tuple(found)


def peer_step(work: Work, name: str) -> Step:
    """Another implementation's step, as its own documentation uses it. Raises ImportError where it is not installed.

    By name, for it is a package of `dev`: nothing but this comparison needs it.
    """
    adaptive = name.endswith("ASAM")
    if name.startswith("pytorch_optimizer"):
        optimizer = pkgutil.resolve_name("pytorch_optimizer:SAM")(
            work.model.parameters(), torch.optim.Adam, rho=0.5 if adaptive else 0.05, adaptive=adaptive, lr=LR
        )
        graded = floor_pieces(work, optimizer)["graded"]

        def closure() -> None:
            graded()

        def step() -> None:
            graded()
            optimizer.step(closure)
            optimizer.zero_grad()

        return step
    return TwoCalls(work, 0.5 if adaptive else 0.05, adaptive).step


class TwoCalls:
    """The pattern that most SAMs for PyTorch share, written anew: two public calls and a loop over parameters.

    `first` adds epsilon parameter by parameter and keeps a clone of each; `second` points every parameter's data at its
    clone and steps the base optimizer. It is what a user who copies such a class pays.
    """

    def __init__(self, work: Work, rho: float, adaptive: bool) -> None:
        self.params = list(work.model.parameters())
        self.base = torch.optim.Adam(self.params, lr=LR)
        self.graded = floor_pieces(work, self.base)["graded"]
        self.rho, self.adaptive = rho, adaptive
        self.old: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def first(self) -> None:
        norms = []
        for param in self.params:
            assert param.grad is not None
            norms.append((param.abs() * param.grad if self.adaptive else param.grad).norm(p=2))
        scale = self.rho / (torch.stack(norms).norm(p=2) + 1e-12)
        for param in self.params:
            assert param.grad is not None
            self.old[param] = param.data.clone()
            param.add_((param.pow(2) * param.grad if self.adaptive else param.grad) * scale)
        self.base.zero_grad()

    @torch.no_grad()
    def second(self) -> None:
        for param in self.params:
            param.data = self.old[param]
        self.base.step()
        self.base.zero_grad()

    def step(self) -> None:
        self.graded()
        self.first()
        self.graded()
        self.second()


def candidates(work: Work, names: Sequence[str]) -> dict[str, Step]:
    """A step function of each name; peers that are not installed are left out.

    All share one model and one Adam, as they are timed in turn and leave the weights where they were but for LR.
    """
    optimizer = optimizer_of(work)
    makers: dict[str, Callable[[], Step]] = {PLAIN: partial(plain_step, work, optimizer)}
    makers |= {name: partial(peer_step, work, name) for name in PEERS}
    found: dict[str, Step] = {}
    for name in names:
        if name in makers:
            try:
                found[name] = makers[name]()
            except ImportError:
                continue
        else:
            found[name] = method_step(work, optimizer, name)[0]
    return found
