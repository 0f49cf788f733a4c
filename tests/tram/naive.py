"""The methods once more, written from the paper for clarity alone: copies, dictionaries, no sharing, no in-place step.

Nothing of `tram` is imported. Models are called through `torch.func.functional_call`, so that "the model at other
weights" is a function of a dictionary.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

Weights = dict[str, Tensor]
LAMBDA, RHO, GAMMA, ETA, DECAY = 0.1, 0.5, 0.1, 0.1, 0.999


@dataclass
class Naive:
    """Twelve steps of momentum SGD by `method`; `z` is what noise adds to the output of `input_module`."""

    method: str
    model: nn.Module
    input_module: nn.Module
    loss_of: Callable[[Tensor, dict[str, Tensor]], Tensor]
    inputs_of: Callable[[dict[str, Tensor]], Tensor]
    cut: Callable[[Tensor], Tensor]
    z: Callable[[Tensor], Tensor]
    lr: float = 0.1
    momentum: float = 0.9
    distances: list[float] = field(default_factory=list)

    def logits(self, weights: Weights, batch: dict[str, Tensor], noisy: bool = False) -> Tensor:
        handle = self.input_module.register_forward_hook(lambda m, a, out: out + self.z(out) if noisy else out)
        try:
            return self.cut(functional_call(self.model, weights, (self.inputs_of(batch),)))
        finally:
            handle.remove()

    def kl(self, reference: Tensor, current: Tensor) -> Tensor:
        p, log_p, log_q = reference.softmax(-1), reference.log_softmax(-1), current.log_softmax(-1)
        return (p * (log_p - log_q)).sum(-1).mean()

    def d(self, weights: Weights, reference: Weights, batch: dict[str, Tensor]) -> Tensor:
        current = self.logits(weights, batch)
        noisy = self.method.endswith(("R3F", "TRAM-x", "TRAM-x-MMD", "TRAM-x-L2"))
        other = self.logits(weights, batch, noisy=True) if noisy else self.logits(reference, batch).detach()
        if self.method == "TRAM-x-L2":
            return (other - current).norm(dim=-1).mean()
        if self.method == "TRAM-x-MMD":
            u, v = other.flatten(0, -2), current.flatten(0, -2)

            def k(a: Tensor, b: Tensor) -> Tensor:
                squares = (a[:, None] - b[None]).square().sum(-1)
                return sum((c * c + squares).pow(-0.5) for c in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)).mean()  # type: ignore[union-attr]

            return k(u, u) + k(v, v) - 2 * k(u, v)
        return self.kl(other, current)

    def gradient(self, loss: Tensor, weights: Weights) -> Weights:
        return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))

    def epsilon(self, weights: Weights, g: Weights, radius: float) -> Weights:
        if self.method == "SAM":
            dual = g
        elif self.method in ("FSAM", "TRAM-Fisher"):
            dual = {n: g[n] / (1 + ETA * g[n] ** 2) for n in g}
        else:
            dual = {n: weights[n].detach() ** 2 * g[n] for n in g}
        size = sum(float((g[n] * dual[n]).sum()) for n in g) ** 0.5
        return {n: radius * dual[n] / size for n in g}

    def descent_gradient(self, weights: Weights, reference: Weights, batch: dict[str, Tensor]) -> Weights:
        penalised = self.method.endswith(("TRPO", "R3F", "MESA"))

        def objective(at: Weights, noisy: bool = False) -> Tensor:
            loss = self.loss_of(self.logits(at, batch, noisy), batch)
            return loss + LAMBDA * self.d(at, reference, batch) if penalised else loss

        if "TR" in self.method or "R3F" in self.method or "MESA" in self.method:
            self.distances.append(self.d(weights, reference, batch).item())
        g = self.gradient(objective(weights, noisy=self.method == "TRAM-Fisher"), weights)
        if self.method in ("SGD", "Adam", "TRPO", "R3F", "MESA"):
            return g
        radius = {"SAM": 0.05, "FSAM": GAMMA, "TRAM-Fisher": GAMMA}.get(self.method, RHO)
        if self.method.startswith("TRAM") and self.method != "TRAM-Fisher":
            radius = self.distances[-1]
        if radius == 0:
            return g
        e = self.epsilon(weights, g, radius)
        moved = {n: (weights[n] + e[n]).detach().requires_grad_() for n in weights}
        return self.gradient(objective(moved), moved)

    def run(self, batches: list[dict[str, Tensor]]) -> Weights:
        weights = {n: p.detach().clone().requires_grad_() for n, p in self.model.named_parameters()}
        first = {n: w.detach().clone() for n, w in weights.items()}
        previous, average, velocity = first, first, None
        for batch in batches:
            reference = first if self.method == "TRAM-pre" else average if "MESA" in self.method else previous
            g = self.descent_gradient(weights, reference, batch)
            average = {n: DECAY * average[n] + (1 - DECAY) * weights[n].detach() for n in weights}
            previous = {n: w.detach().clone() for n, w in weights.items()}
            velocity = g if velocity is None else {n: self.momentum * velocity[n] + g[n] for n in g}
            weights = {n: (weights[n] - self.lr * velocity[n]).detach().requires_grad_() for n in weights}
        return weights
