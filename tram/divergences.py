"""Divergences between two batches of predictive distributions, given as logits.

A divergence maps logits of the reference and of the current model to one number per row (an example, or a predicted
token); MMD compares the two sets of rows as wholes. `distance` reduces it to the scalar d over which trust regions are
defined (Eqs. 4 and 5 of the paper). Everything is computed in float32 at least, chunk by chunk over the rows, so that
two full float32 copies of a language model's logits never exist.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tram._checks import as_floats, is_number, is_whole, one_of

Reduction = Literal["batchmean", "sequence", "released"]
Space = Literal["logits", "probabilities"]

# 2^23 float32 elements are 32 MiB: far below a language model's logits, far above the cost of launching a kernel.
_CHUNK_ELEMENTS = 1 << 23
# A CPU launches nothing and goes over a chunk some twenty times: its cache holds the temporaries of this one.
_CACHED_ELEMENTS = 1 << 16


def _log_probabilities(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits, dim=-1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Rows of KL(p || q) = sum p (expm1(D) - D), D = log q - log p, each term of which is >= 0.

    Summed as p (log p - log q), whose terms cancel, a KL of 1e-8 over 50,000 classes is rounding noise in float32 and
    may be negative; the terms added here, q - p, sum to 0. Beyond |D| = 1 they are written as q - p - p D, which cannot
    overflow. A class with p = 0 contributes q, hence nothing if q = 0 too.
    """
    found: Tensor = _KL.apply(log_p, log_q)
    return found


class _KL(torch.autograd.Function):
    """What `_kl` says: terms of one form where |D| <= 1, of another elsewhere."""

    @staticmethod
    def forward(ctx: Any, log_p: Tensor, log_q: Tensor) -> Tensor:
        p, q = log_p.exp(), log_q.exp()
        # D is 2, which is far, where p = 0.
        ratio = torch.nan_to_num_(log_q - log_p, nan=2.0, posinf=2.0, neginf=-math.inf)
        near = ratio.clamp(-1.0, 1.0)
        excess = torch.expm1(near)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(p, q, ratio, near, excess)
            small, large = (excess - near).mul_(p), (q - p).sub_(p * ratio)
            return _chosen(ratio.abs(), small, large).sum(-1)
        # With as few temporaries as can be.
        small, large = excess.sub_(near).mul_(p), q.sub_(p).sub_(p.mul_(ratio))
        return _chosen(ratio.abs_(), small, large).sum(-1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_rows: Tensor) -> tuple[Tensor | None, Tensor | None]:
        p, q, ratio, near, excess = ctx.saved_tensors
        # As torch's clamp does, that of D passes nothing on where it is exactly at its bounds.
        by_log_q = (excess + 1).mul_(p).sub_(p).mul_(near.abs().lt_(1.0))
        by_log_p = None
        if ctx.needs_input_grad[0]:
            small = (excess - near).mul_(p).sub_(by_log_q)
            large = (-1 - ratio).mul_(p).add_(p)
            by_log_p = _chosen(ratio.abs(), small, large).mul_(grad_rows[..., None])
        by_log_q = _chosen(ratio.abs(), by_log_q, q - p).mul_(grad_rows[..., None])
        return by_log_p, by_log_q


def _chosen(size: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """`small` where `size`, that of D, is at most 1, else `large`; all three may be overwritten.

    By multiplying with 1 and 0, which a CPU does ten times as fast as choosing, and may where each is finite as long as
    the other counts. A NaN among the logits is in both.
    """
    is_near = size.le_(1.0)
    return small.mul_(is_near).addcmul_(large, is_near.neg_().add_(1.0))


@dataclass(frozen=True)
class ForwardKL:
    """KL(reference || current), in nats: the d of Eqs. 4 and 5."""

    divided_by_classes: ClassVar[bool] = True

    def rows(self, reference: Tensor, current: Tensor) -> Tensor:
        return _kl(_log_probabilities(reference), _log_probabilities(current))


@dataclass(frozen=True)
class ReverseKL:
    """KL(current || reference), in nats (paper, appendix C.5)."""

    divided_by_classes: ClassVar[bool] = True

    def rows(self, reference: Tensor, current: Tensor) -> Tensor:
        return _kl(_log_probabilities(current), _log_probabilities(reference))


@dataclass(frozen=True)
class SymmetricKL:
    """KL(reference || current) + KL(current || reference), in nats (paper, appendix C.5; the default of R3F's code)."""

    divided_by_classes: ClassVar[bool] = True

    def rows(self, reference: Tensor, current: Tensor) -> Tensor:
        log_p, log_q = _log_probabilities(reference), _log_probabilities(current)
        return _kl(log_p, log_q) + _kl(log_q, log_p)


@dataclass(frozen=True)
class Renyi:
    """Rényi divergence 1/(alpha - 1) log sum p^alpha q^(1 - alpha) of order alpha, in nats, p the reference.

    alpha > 0 and alpha != 1; the limit alpha -> 1 is `ForwardKL`. The paper names it as future work.
    """

    alpha: float = 0.5
    divided_by_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not is_number(self.alpha) or self.alpha <= 0 or self.alpha == 1:
            raise ValueError(f"Renyi needs a finite order alpha > 0 other than 1 (there it is ForwardKL): {self.alpha}")
        as_floats(self, "alpha")

    def rows(self, reference: Tensor, current: Tensor) -> Tensor:
        log_p, log_q = _log_probabilities(reference), _log_probabilities(current)
        # A class that the model excludes (logit -inf) weighs p^alpha 0^(1 - alpha): nothing where p is 0 too.
        impossible = log_p == -math.inf
        exponent = self.alpha * log_p.masked_fill(impossible, 0.0) + (1 - self.alpha) * log_q.masked_fill(
            impossible, 0.0
        )
        return torch.logsumexp(exponent.masked_fill(impossible, -math.inf), dim=-1) / (self.alpha - 1)


@dataclass(frozen=True)
class L2:
    """Euclidean distance between the rows of logits (the authors' code) or of probabilities (their text; C.5)."""

    space: Space = "logits"
    divided_by_classes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of("L2", "space", self.space, Space)

    def rows(self, reference: Tensor, current: Tensor) -> Tensor:
        if self.space == "probabilities":
            reference, current = torch.softmax(reference, dim=-1), torch.softmax(current, dim=-1)
        return torch.linalg.vector_norm(reference - current, dim=-1)


@dataclass(frozen=True)
class MMD:
    """Squared maximum mean discrepancy between the two sets of rows, biased V-statistic (paper, appendix C.5).

    mean k(u, u') + mean k(v, v') - 2 mean k(u, v), with the inverse multiquadratic kernel
    k(a, b) = sum_c (c^2 + |a - b|^2)^(-1/2) over `bandwidths` c. It needs all pairs of rows, so that more than
    `max_rows` rows (a language model's tokens) are thinned to `max_rows` evenly spaced ones.
    """

    bandwidths: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    space: Space = "logits"
    max_rows: int = 1024
    divided_by_classes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of("MMD", "space", self.space, Space)
        bandwidths = tuple(self.bandwidths)
        if not bandwidths or not all(is_number(bandwidth) and bandwidth > 0 for bandwidth in bandwidths):
            raise ValueError(f"MMD needs one or more positive bandwidths: {self.bandwidths}")
        if not is_whole(self.max_rows) or self.max_rows < 1:
            raise ValueError(f"MMD needs a whole number max_rows >= 1: {self.max_rows}")
        object.__setattr__(self, "bandwidths", tuple(float(bandwidth) for bandwidth in bandwidths))
        object.__setattr__(self, "max_rows", int(self.max_rows))

    def between(self, reference: Tensor, current: Tensor, weights: Tensor) -> Tensor:
        """The statistic of rows (n, classes) each, with one weight (n,), 1 or 0, for both rows of a pair.

        In float64: distances between rows are differences of squared norms, which for the logits of a language model
        are some 1e8, and float32 would lose the distance altogether.
        """
        reference, current, weights = self._thinned(reference, current, weights)
        counts = weights > 0
        # Not left to the weights: a padded row may hold anything, and 0 * nan is not 0.
        reference, current = (
            torch.where(counts[:, None], rows.to(torch.float64), 0.0) for rows in (reference, current)
        )
        if self.space == "probabilities":
            reference, current = torch.softmax(reference, dim=-1), torch.softmax(current, dim=-1)
        share = (weights / weights.sum().clamp_min(1.0)).to(torch.float64)
        kernels = self._kernel(reference, reference) + self._kernel(current, current)
        return (share @ (kernels - 2 * self._kernel(reference, current)) @ share).clamp_min(0.0)

    def _thinned(self, reference: Tensor, current: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`max_rows` evenly spaced ones of the rows that count, found without asking the device how many those are."""
        if len(weights) <= self.max_rows:
            return reference, current, weights
        ranks = (weights > 0).cumsum(0)
        wanted = torch.arange(self.max_rows, device=weights.device) * ranks[-1] // self.max_rows + 1
        chosen = torch.searchsorted(ranks, wanted).clamp_max(len(weights) - 1)
        return reference[chosen], current[chosen], weights[chosen]

    def _kernel(self, left: Tensor, right: Tensor) -> Tensor:
        squares = left.square().sum(-1)[:, None] + right.square().sum(-1)[None, :] - 2 * left @ right.T
        squares = squares.clamp_min(0.0)
        return torch.stack([(bandwidth**2 + squares).rsqrt() for bandwidth in self.bandwidths]).sum(0)


Divergence = ForwardKL | ReverseKL | SymmetricKL | Renyi | L2 | MMD


def distance(
    divergence: Divergence,
    reference: Tensor,
    current: Tensor,
    mask: Tensor | None = None,
    reduction: Reduction = "batchmean",
) -> Tensor:
    """The trust-region distance d between two batches of logits, a scalar (Eqs. 4 and 5).

    `reference` and `current` are logits (batch, [tokens,] classes); gradients flow to either if it requires them.
    `mask`, of their shape without the classes, is False, or a number that is not > 0, where a row does not count
    (padding): rows count or do not, so that a weight of 0.5 is as one of 1.
    Reductions: `batchmean`, the mean over the rows that count; `sequence`, the sum over a sequence's tokens, averaged
    over the batch; `released`, what the authors' published code computes: KL averaged over classes as well and
    everything divided by the batch size once more.
    """
    one_of("distance", "reduction", reduction, Reduction)
    if reference.shape != current.shape or current.dim() < 2:
        raise ValueError(
            "logits must be (batch, [tokens,] classes), of one shape, "
            f"and are {tuple(reference.shape)} and {tuple(current.shape)}"
        )
    if mask is not None and not isinstance(mask, Tensor):
        raise TypeError(f"mask must be a tensor, as of booleans, and not {type(mask).__name__}")
    if mask is not None and mask.shape != current.shape[:-1]:
        raise ValueError(
            f"mask {tuple(mask.shape)} must have the shape of the logits without classes: {current.shape[:-1]}"
        )
    if current.shape[-1] < 2 and not isinstance(divergence, L2 | MMD):
        raise ValueError(
            f"{type(divergence).__name__} compares distributions over classes, and there is one logit: use L2(), "
            "or make a sigmoid's logit z the two logits (0, z)"
        )
    if isinstance(divergence, MMD) and reduction == "sequence":
        raise ValueError("MMD compares sets of rows and has no sum over a sequence: use reduction='batchmean'")
    batch, classes = current.shape[0], current.shape[-1]
    dtype = torch.promote_types(torch.promote_types(reference.dtype, current.dtype), torch.float32)
    flat_reference, flat_current = reference.reshape(-1, classes), current.reshape(-1, classes)
    count = torch.ones((), dtype=dtype, device=current.device) * len(flat_current)
    weights = torch.ones(len(flat_current), dtype=dtype, device=current.device)
    if mask is not None:
        weights = (mask.reshape(-1) > 0).to(dtype)
        count = weights.sum().clamp_min(1.0)
    with torch.autocast(current.device.type, enabled=False):
        if isinstance(divergence, MMD):
            mean = divergence.between(flat_reference, flat_current, weights).to(dtype)
            return mean / batch if reduction == "released" else mean
        total = _ChunkedSum.apply(divergence, flat_reference, flat_current, weights)
    if reduction == "sequence":
        return total / batch
    mean = total / count
    if reduction == "released":
        return mean / (batch * classes if divergence.divided_by_classes else batch)
    return mean


class _ChunkedSum(torch.autograd.Function):
    """The weighted sum of a divergence over rows, in float32 at least, holding one chunk of temporaries at a time.

    A gradient is made with the value, while a chunk and its softmax are at hand. Of logits in half precision it is
    made in the backward pass instead, for until then it would have to be kept in float32, in twice their memory.
    """

    @staticmethod
    def forward(ctx: Any, divergence: Divergence, reference: Tensor, current: Tensor, weights: Tensor) -> Tensor:
        ctx.divergence = divergence
        ctx.is_made_later = {reference.dtype, current.dtype} != {weights.dtype}
        needs = (False, False) if ctx.is_made_later else ctx.needs_input_grad[1:3]
        total, grads = _summed(divergence, reference, current, weights, needs, weights.new_ones(()))
        ctx.save_for_backward(*((reference, current, weights) if ctx.is_made_later else grads))
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[1:3]
        if ctx.is_made_later:
            reference, current, weights = ctx.saved_tensors
            _, grads = _summed(ctx.divergence, reference, current, weights, needs, grad_total)
        else:
            grads = [grad * grad_total for grad in ctx.saved_tensors]
        found = iter(grads)
        return None, *(next(found) if need else None for need in needs), None


def _summed(
    divergence: Divergence,
    reference: Tensor,
    current: Tensor,
    weights: Tensor,
    needs: tuple[bool, bool],
    factor: Tensor,
) -> tuple[Tensor, list[Tensor]]:
    """The sum over rows, and `factor` times its gradient by each side that needs one."""
    sides = (reference, current)
    grads = [torch.empty_like(side) for side, need in zip(sides, needs, strict=True) if need]
    found = []
    for part in _chunks(current):
        left, right = pair = [side[part].detach().to(weights.dtype) for side in sides]
        leaves = [side.requires_grad_() for side, need in zip(pair, needs, strict=True) if need]
        counts = weights[part] > 0
        with torch.set_grad_enabled(bool(leaves)):
            # Not a product: a padded row may hold anything, and 0 * inf is not 0.
            rows = torch.where(counts, _rows(divergence, left, right), 0.0)
            pieces = torch.autograd.grad(rows.sum(), leaves) if leaves else ()
        found.append(rows.detach())
        for grad, piece in zip(grads, pieces, strict=True):
            grad[part] = torch.where(counts[:, None], piece * factor, 0.0).to(grad.dtype)
    return torch.cat(found).sum(), grads


def _rows(divergence: Divergence, reference: Tensor, current: Tensor) -> Tensor:
    assert not isinstance(divergence, MMD)
    return divergence.rows(reference, current)


def _chunks(rows: Tensor) -> Iterator[slice]:
    elements = min(_CHUNK_ELEMENTS, _CACHED_ELEMENTS) if rows.device.type == "cpu" else _CHUNK_ELEMENTS
    step = max(1, elements // max(1, rows.shape[-1]))
    return (slice(start, start + step) for start in range(0, max(1, len(rows)), step))
