"""Ways that were thought to be faster, each timed in turns with what it was tried against."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.performance.record import Idea
from benchmarks.performance.timing import Timed, ratio, rounds_of
from tram import Euclidean, Fisher, ForwardKL, distance
from tram._ascent import ascend_
from tram._weights import swapped

Pair = tuple[Callable[[], Tensor], Callable[[], Tensor]]


@dataclass(frozen=True)
class Thought:
    """`make(device)` gives the new way and the old one, each of which returns what it computed."""

    idea: str
    instead_of: str
    predicted: float
    decision: str
    make: Callable[[torch.device], Pair]
    compiles: bool = False
    """Whether it needs a C++ compiler, and a minute or more before it starts."""


def tried(thought: Thought, device: torch.device, rounds: int) -> Idea:
    torch.manual_seed(0)
    new, old = thought.make(device)
    same = torch.equal(new(), old())
    timed = {"new": Timed(new), "old": Timed(old)}
    seconds = rounds_of(timed, device, rounds)
    return Idea(
        idea=thought.idea,
        instead_of=thought.instead_of,
        predicted=thought.predicted,
        measured=ratio(seconds["new"], seconds["old"]),
        same_bits=same,
        decision=thought.decision,
    )


def _logits(device: torch.device) -> tuple[Tensor, Tensor]:
    reference = torch.randn(64, 50257, device=device)
    return reference, reference + 0.1 * torch.randn_like(reference)


def _kl(device: torch.device) -> Pair:
    reference, current = _logits(device)
    return lambda: distance(ForwardKL(), reference, current), lambda: _kl_by_choosing(reference, current)


def _kl_by_choosing(reference: Tensor, current: Tensor) -> Tensor:
    log_p, log_q = torch.log_softmax(reference, -1), torch.log_softmax(current, -1)
    p, q = log_p.exp(), log_q.exp()
    impossible = log_p == -math.inf
    difference = torch.where(impossible, 0.0, log_q - log_p)
    near = difference.clamp(-1.0, 1.0)
    small, large = p * (torch.expm1(near) - near), q - p - p * difference
    return torch.where((difference.abs() <= 1) & ~impossible, small, large).sum(-1).sum() / len(log_p)


def _kl_by_cross_entropy(device: torch.device) -> Pair:
    reference, current = _logits(device)

    def new() -> Tensor:
        rows = []
        for one, other in zip(reference, current, strict=True):
            p = torch.softmax(one, -1)
            rows.append((p * (one - other)).sum() + torch.logsumexp(other, -1) - torch.logsumexp(one, -1))
        return torch.stack(rows).mean()

    return new, lambda: distance(ForwardKL(), reference, current)


def _gradient_with_the_value(device: torch.device) -> Pair:
    reference, current = _logits(device)
    current.requires_grad_()

    def new() -> Tensor:
        (grad,) = torch.autograd.grad(distance(ForwardKL(), reference, current), current)
        return grad

    def old() -> Tensor:
        with torch.no_grad():
            distance(ForwardKL(), reference, current)
        return new()

    return new, old


def _kl_compiled(device: torch.device) -> Pair:
    reference, current = _logits(device)
    compiled = torch.compile(_kl_by_choosing)
    return lambda: compiled(reference, current), lambda: distance(ForwardKL(), reference, current)


def _ascent_compiled(device: torch.device) -> Pair:
    params, given = _weights(device)
    before = [param.clone() for param in params]
    radius = torch.tensor(0.05, device=device)

    @torch.compile
    def fused(params: list[Tensor], grads: list[Tensor]) -> Tensor:
        scale = radius / torch.stack([grad.square().sum() for grad in grads]).sum().sqrt()
        for param, grad in zip(params, grads, strict=True):
            param.add_(grad * scale)
        return scale

    def begin() -> list[Tensor]:
        torch._foreach_copy_(params, before)
        return [grad.clone() for grad in given]

    def new() -> Tensor:
        fused(params, begin())
        return params[0].clone()

    def old() -> Tensor:
        grads = begin()
        ascend_(Euclidean(), params, grads, grads, radius)
        return params[0].clone()

    return new, old


def _weights(device: torch.device, rows: int = 384) -> tuple[list[Tensor], list[Tensor]]:
    params, grads = ([torch.randn(rows, 384, device=device) for _ in range(15360 // rows)] for _ in range(2))
    return params, grads


def _fisher_in_pieces(device: torch.device) -> Pair:
    params, given = _weights(device)
    before = [param.clone() for param in params]
    radius = torch.tensor(0.05, device=device)

    def begin() -> list[Tensor]:
        torch._foreach_copy_(params, before)
        return [grad.clone() for grad in given]

    def new() -> Tensor:
        grads = begin()
        ascend_(Fisher(), params, grads, grads, radius)
        return params[0].clone()

    def old() -> Tensor:
        grads = begin()
        metric = list(torch._foreach_mul(grads, grads))
        torch._foreach_mul_(metric, 0.1)
        torch._foreach_add_(metric, 1.0)
        duals = list(torch._foreach_div(grads, metric))
        torch._foreach_sqrt_(metric)
        torch._foreach_div_(grads, metric)
        norm = torch.stack(torch._foreach_norm(grads)).square().sum().sqrt()
        _ = torch.stack(torch._foreach_norm(duals)).square().sum().sqrt()
        torch._foreach_mul_(duals, radius / norm)
        torch._foreach_add_(params, duals)
        return params[0].clone()

    return new, old


def _scale_and_add_in_one(device: torch.device) -> Pair:
    params, given = _weights(device)
    before = [param.clone() for param in params]
    scale = torch.tensor(1e-3, device=device)

    def new() -> Tensor:
        torch._foreach_copy_(params, before)
        for param, grad in zip(params, given, strict=True):
            param.addcmul_(grad, scale)
        return params[0].clone()

    def old() -> Tensor:
        torch._foreach_copy_(params, before)
        for param, grad in zip(params, given, strict=True):
            torch._foreach_add_([param], torch._foreach_mul([grad], scale))
        return params[0].clone()

    return new, old


def _backup_in_the_ascent(device: torch.device) -> Pair:
    params, given = _weights(device)
    backup = [torch.empty_like(param) for param in params]
    scale = torch.tensor(1e-6, device=device)

    def new() -> Tensor:
        for kept, param, grad in zip(backup, params, given, strict=True):
            kept.copy_(param)
            torch._foreach_add_([param], torch._foreach_mul([grad], scale))
        torch._foreach_copy_(params, backup)
        return params[0].clone()

    def old() -> Tensor:
        torch._foreach_copy_(backup, params)
        for param, grad in zip(params, given, strict=True):
            torch._foreach_add_([param], torch._foreach_mul([grad], scale))
        torch._foreach_copy_(params, backup)
        return params[0].clone()

    return new, old


def _exchange_in_parts(device: torch.device) -> Pair:
    theta, reference = _weights(device, rows=1536)
    scratch = torch.empty_like(theta[0])

    def new() -> Tensor:
        with swapped(theta, reference):
            return theta[0].clone()

    def old() -> Tensor:
        for _ in range(2):
            for one, other in zip(theta, reference, strict=True):
                scratch.copy_(one)
                one.copy_(other)
                other.copy_(scratch)
        return reference[0].clone()

    return new, old


def _from_hidden_states(device: torch.device) -> Pair:
    head = torch.randn(50257, 192, device=device)
    hidden = torch.randn(256, 192, device=device)
    current = torch.randn(256, 50257, device=device)

    def new() -> Tensor:
        parts = zip(hidden.split(32), current.split(32), strict=True)
        return torch.stack([distance(ForwardKL(), states @ head.T, logits) for states, logits in parts]).mean()

    return new, lambda: distance(ForwardKL(), hidden @ head.T, current)


def _reference_with_the_first_forward(device: torch.device) -> Pair:
    layers = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(384, 384), torch.nn.GELU()) for _ in range(12)))
    layers.to(device)
    x = torch.randn(1000, 384, device=device)
    noisy = x + 0.1 * torch.randn_like(x)

    def new() -> Tensor:
        both = layers(torch.cat([x, noisy]))
        clean = both[:1000]
        clean.square().mean().backward()
        return both[1000:].detach()

    def old() -> Tensor:
        with torch.no_grad():
            reference: Tensor = layers(noisy)
        layers(x).square().mean().backward()
        return reference

    return new, old


def _reference_in_bfloat16(device: torch.device) -> Pair:
    layers = torch.nn.Sequential(*(torch.nn.Linear(384, 384) for _ in range(12))).to(device)
    x = torch.randn(1000, 384, device=device)

    def new() -> Tensor:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            result: Tensor = layers(x)
            return result.float()

    def old() -> Tensor:
        with torch.no_grad():
            result: Tensor = layers(x)
            return result

    return new, old


THOUGHTS = (
    Thought(
        "KL: choose between the two forms of a term by multiplying with 0 and 1, in place, a few rows at a time",
        "torch.where, a new tensor for each operation, whole batch",
        0.5,
        "kept",
        _kl,
    ),
    Thought(
        "KL as Σ p (a − b) and two log-sum-exps",
        "the sum of terms that are each ≥ 0",
        0.5,
        "not kept: a KL of 1e-8 is rounding noise in it, and may be negative",
        _kl_by_cross_entropy,
    ),
    Thought(
        "Gradient of d made with the value, while a chunk's softmaxes are at hand",
        "the value now, and in the backward pass both again",
        0.75,
        "kept where logits are in float32; in half precision it would be kept in twice their memory",
        _gradient_with_the_value,
    ),
    Thought(
        "Weights and reference exchanged by some rows of a tensor at a time",
        "tensor by tensor",
        0.7,
        "kept; a GPU still takes many tensors at once",
        _exchange_in_parts,
    ),
    Thought(
        "Ascent of FSAM tensor by tensor, in place, what the cache holds at a time",
        "one operation over all tensors after another, with two temporary copies",
        0.5,
        "kept; a GPU still takes all tensors at once",
        _fisher_in_pieces,
    ),
    Thought(
        "Ascent: scale the gradient and add it in one operation, addcmul",
        "scale, then add",
        0.7,
        "not kept: it rounds once where two operations round twice, for a thousandth of a step",
        _scale_and_add_in_one,
    ),
    Thought(
        "Backup and ascent in one go over the weights, then the restore",
        "two goes, then the restore",
        0.85,
        "not kept: on a step it is a few thousandths, and backup and ascent are parts that loops of one's own call",
        _backup_in_the_ascent,
    ),
    Thought(
        "d straight from the reference's hidden states, through the head a few rows at a time",
        "the reference's logits as a whole, then d",
        1.0,
        "not kept: one logits tensor less in memory, and a forward that would have to return hidden states",
        _from_hidden_states,
    ),
    Thought(
        "TRAM-x: the noisy reference in one batch with the first forward",
        "a forward of its own, without a gradient",
        0.95,
        "not kept: it keeps the activations of both halves, and differentiates zeros through the noisy one",
        _reference_with_the_first_forward,
    ),
    Thought(
        "The reference's forward in bfloat16",
        "float32",
        0.6,
        "not kept: an approximation, and autocast gives it to whoever trains in bfloat16",
        _reference_in_bfloat16,
    ),
    Thought(
        "torch.compile of d",
        "operators one by one",
        0.5,
        "not kept: other bits, a C++ compiler to have, and a minute before the first step",
        _kl_compiled,
        compiles=True,
    ),
    Thought(
        "torch.compile of SAM's ascent",
        "operators one by one",
        0.5,
        "not kept: other bits and a minute to compile, again for each model, for a hundredth of a step",
        _ascent_compiled,
        compiles=True,
    ),
)
