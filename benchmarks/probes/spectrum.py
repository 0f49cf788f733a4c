"""The largest eigenvalues of the Hessian of the loss, by Lanczos: a second opinion on how flat a solution is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.errors import RunError
from benchmarks.probes.examples import ZERO_SHOT_AVERAGE, held, loss_and_count, test_sets
from benchmarks.probes.probe import Measured, Work, restored
from benchmarks.probes.trained import Trained
from benchmarks.task import Batch, Task

Vector = NDArray[np.floating]


@dataclass(frozen=True)
class Spectrum:
    """Of the training domain's loss, and of the mean loss of the domains that training has not seen.

    The `count` largest eigenvalues to a relative `tolerance`, from a Krylov space of `subspace` dimensions; the trace
    by Hutchinson's estimator, the mean of z'Hz over `trace_samples` vectors z of random signs, and its standard error;
    no trace where there are no samples. Of the training domain `examples` are taken, and about as many of all others
    together; `blocks` where they are blocks of text.
    """

    count: int = 3
    tolerance: float = 1e-2
    subspace: int = 10
    trace_samples: int = 4
    examples: int = 64
    blocks: int = 8
    batch_size: int = 64
    seed: int = 0

    def measure(self, model: Trained, work: Work) -> Measured:
        metrics: dict[str, float] = {}
        for domain, parts in self.sets(model).items():
            hessian = Hessian(model.task, parts)
            work.report(f"spectrum of {domain}", 0, 1)
            with restored(model.task.model):
                found = self.eigenvalues(hessian) | (self.trace(hessian) if self.trace_samples else {})
            metrics |= {f"test/{key}/{domain}": value for key, value in found.items()}
        return Measured(metrics)

    def sets(self, model: Trained) -> dict[str, list[list[Batch]]]:
        """For the training domain and for the average of the others: the batches of each domain that it consists of."""
        wanted = self.examples if model.row.metric == "accuracy" else self.blocks
        home, *others = model.task.test
        few = max(1, wanted // max(1, len(others)))
        own = held(model.task, {home: test_sets(model.task, wanted)[home]}, self.batch_size)
        unseen = test_sets(model.task, few)
        rest = held(model.task, {domain: unseen[domain] for domain in others}, self.batch_size)
        return {home: [own[home]]} | ({ZERO_SHOT_AVERAGE: list(rest.values())} if rest else {})

    def eigenvalues(self, hessian: "Hessian") -> dict[str, float]:
        """The `count` largest, `eigenvalue-1` the largest. Raises RunError if Lanczos does not converge."""
        size = hessian.size
        operator = LinearOperator((size, size), matvec=hessian.times, dtype=hessian.dtype)
        start = np.random.default_rng(self.seed).standard_normal(size).astype(hessian.dtype)
        try:
            values = eigsh(
                operator,
                self.count,
                which="LA",
                v0=start,
                ncv=self.subspace,
                tol=self.tolerance,
                return_eigenvectors=False,
            )
        except ArpackNoConvergence as error:
            raise RunError(f"the Hessian's spectrum: {error}. Raise the tolerance.") from error
        return {f"eigenvalue-{rank}": float(value) for rank, value in enumerate(sorted(values, reverse=True), start=1)}

    def trace(self, hessian: "Hessian") -> dict[str, float]:
        """The estimate and its standard error."""
        random = np.random.default_rng(self.seed)
        signs = (random.choice((-1.0, 1.0), hessian.size).astype(hessian.dtype) for _ in range(self.trace_samples))
        samples = [float(np.dot(sign, hessian.times(sign))) for sign in signs]
        error = np.std(samples, ddof=1) / math.sqrt(len(samples))
        return {"trace": float(np.mean(samples)), "trace-standard-error": float(error)}


class Hessian:
    """Of the mean over domains of a domain's mean nll, at the model's weights: times a vector, never as a matrix."""

    def __init__(self, task: Task, domains: Sequence[Sequence[Batch]]) -> None:
        self._task = task
        self._params = [param for param in task.model.parameters() if param.requires_grad]
        with torch.no_grad():
            counts = [[float(loss_and_count(task, batch)[1]) for batch in domain] for domain in domains]
        self._weighted = [
            (batch, count / sum(row) / len(domains))
            for domain, row in zip(domains, counts, strict=True)
            for batch, count in zip(domain, row, strict=True)
        ]

    @property
    def size(self) -> int:
        return sum(param.numel() for param in self._params)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        return np.dtype(str(self._params[0].dtype).removeprefix("torch."))

    def times(self, vector: Vector) -> Vector:
        """H v, by differentiating <gradient, v>."""
        pieces = self._shaped(vector)
        product = [torch.zeros_like(param) for param in self._params]
        # Fused attention has no second derivative.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            for batch, weight in self._weighted:
                loss, _ = loss_and_count(self._task, batch)
                gradients = torch.autograd.grad(loss * weight, self._params, create_graph=True, materialize_grads=True)
                slope = torch.stack(
                    [(gradient * piece).sum() for gradient, piece in zip(gradients, pieces, strict=True)]
                ).sum()
                for total, part in zip(
                    product, torch.autograd.grad(slope, self._params, materialize_grads=True), strict=True
                ):
                    total += part
        return torch.cat([part.flatten() for part in product]).cpu().numpy()

    def _shaped(self, vector: Vector) -> list[Tensor]:
        flat = torch.as_tensor(vector.ravel(), dtype=self._params[0].dtype, device=self._params[0].device)
        parts = flat.split([param.numel() for param in self._params])
        return [part.view_as(param) for part, param in zip(parts, self._params, strict=True)]
