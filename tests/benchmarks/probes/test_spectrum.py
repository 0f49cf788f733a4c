"""Lanczos and Hutchinson against Hessians that are written down, or made densely."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.probes.examples import Batches
from benchmarks.probes.probe import Work
from benchmarks.probes.spectrum import Hessian, Spectrum
from benchmarks.task import Batch, Task
from tests.benchmarks import tiny_tasks
from tests.benchmarks.probes.problems import Weights, task_of, trained

WORK = Work(Path("never-written.json"))
EIGENVALUES = torch.tensor([7.0, 5.0, 3.0, 1.0, 0.5, 0.1, 0.0, -0.5, -1.0, -2.0, -9.0, -0.1], dtype=torch.float64)


def quadratic_with(hessian: Tensor) -> Task:
    w = torch.linspace(-1, 1, len(hessian), dtype=torch.float64)
    return task_of(
        Weights(w=w[:5], v=w[5:]),
        lambda model: (full := torch.cat([*model.parameters()])) @ hessian @ full / 2 + full.sum(),
        {"home": 4, "away": 3},
    )


def test_the_largest_eigenvalues_of_a_quadratic() -> None:
    """Away, every loss is three times that at home. The largest are meant, not the largest in absolute value."""
    basis, _ = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    task = quadratic_with(basis @ torch.diag(EIGENVALUES) @ basis.T)
    probe = Spectrum(count=3, tolerance=1e-10, subspace=8, trace_samples=0)
    metrics = probe.measure(trained(task), WORK).metrics
    assert metrics == pytest.approx(
        {f"test/eigenvalue-{rank}/home": value for rank, value in ((1, 7), (2, 5), (3, 3))}
        | {f"test/eigenvalue-{rank}/ZS Avg": value for rank, value in ((1, 21), (2, 15), (3, 9))},
        rel=1e-8,
    )


def test_hutchinson_is_exact_where_the_hessian_is_diagonal() -> None:
    metrics = Spectrum(count=1, subspace=4).measure(trained(quadratic_with(torch.diag(EIGENVALUES))), WORK).metrics
    assert metrics["test/trace/home"] == pytest.approx(float(EIGENVALUES.sum()))
    assert metrics["test/trace-standard-error/home"] == pytest.approx(0, abs=1e-12)
    assert metrics["test/trace/ZS Avg"] == pytest.approx(float(3 * EIGENVALUES.sum()))


def test_the_standard_error_of_the_trace_covers_it() -> None:
    basis, _ = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    task = quadratic_with(basis @ torch.diag(EIGENVALUES) @ basis.T)
    hessian = Hessian(task, [list(Batches(task, task.test["home"], 4))])
    many, few = (Spectrum(trace_samples=count).trace(hessian) for count in (400, 4))
    assert abs(many["trace"] - float(EIGENVALUES.sum())) < 4 * many["trace-standard-error"] < 4
    assert many["trace-standard-error"] < few["trace-standard-error"]
    assert few["trace-standard-error"] == pytest.approx(np.std(_samples(hessian, 4), ddof=1) / math.sqrt(4))


def _samples(hessian: Hessian, count: int) -> list[float]:
    random = np.random.default_rng(0)
    signs = [random.choice((-1.0, 1.0), hessian.size) for _ in range(count)]
    return [float(sign @ hessian.times(sign)) for sign in signs]


def network() -> Task:
    task = tiny_tasks.points(seed=0, dropout=0.0)
    task.model.double()
    for examples in task.test.values():
        examples.tensors["points"] = examples.tensors["points"].double()  # type: ignore[attr-defined]
    return task


def dense(task: Task, parts: list[list[Batch]]) -> Tensor:
    """Of the mean over parts of each part's mean loss over all of its examples at once."""
    params = dict(task.model.named_parameters())
    sizes = [param.numel() for param in params.values()]

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split(sizes)
        weights = {name: piece.view_as(params[name]) for name, piece in zip(params, pieces, strict=True)}
        losses = []
        for part in parts:
            points, labels = (torch.cat([batch[name] for batch in part]) for name in ("points", "labels"))
            losses.append(F.cross_entropy(torch.func.functional_call(task.model, weights, points), labels))
        return torch.stack(losses).mean()

    flat = torch.cat([param.detach().flatten() for param in params.values()])
    return torch.autograd.functional.hessian(loss, flat)


def test_every_column_is_that_of_the_dense_hessian_of_a_network() -> None:
    """Domains of 33 and 21 examples count equally, batches of 8 and of what is left by their examples."""
    task = network()
    parts = [list(Batches(task, task.test[domain], 8)) for domain in ("home", "away")]
    hessian, expected = Hessian(task, parts), dense(task, parts)
    assert hessian.size == len(expected) == 2 * 8 + 8 + 8 * 3 + 3
    columns = np.stack([hessian.times(unit) for unit in np.eye(hessian.size)])
    np.testing.assert_allclose(columns, expected, atol=1e-12)


def test_the_spectrum_of_a_network_is_that_of_its_dense_hessian() -> None:
    task = network()
    probe = Spectrum(count=3, tolerance=1e-8, subspace=12, trace_samples=0, examples=21, batch_size=8)
    metrics = probe.measure(trained(task), WORK).metrics
    for domain, name in (("home", "home"), ("away", "ZS Avg")):
        few = [index * len(task.test[domain]) // 21 for index in range(21)]
        batch = {key: tensor[few] for key, tensor in task.test[domain].tensors.items()}
        largest = torch.linalg.eigvalsh(dense(task, [[batch]])).flip(0)[:3]
        assert [metrics[f"test/eigenvalue-{rank}/{name}"] for rank in (1, 2, 3)] == pytest.approx(
            largest.tolist(), rel=1e-6
        )


def test_attention_has_a_second_derivative() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))

    def loss(model: nn.Module) -> Tensor:
        query = torch.linspace(-1, 1, 12).view(1, 1, 3, 4) @ model.get_parameter("w")
        return F.scaled_dot_product_attention(query, query, query).square().sum().double()

    task = task_of(Attends(), loss, {"home": 2})
    product = Hessian(task, [list(Batches(task, task.test["home"], 2))]).times(np.ones(16, dtype=np.float32))
    assert product.dtype == np.float32
    assert np.abs(product).max() > 1e-3


def test_the_spectrum_is_looked_at_in_evaluation_mode_and_nothing_is_left_behind() -> None:
    task = tiny_tasks.points(seed=0, dropout=0.5)
    first, again = (Spectrum(count=1, subspace=6).measure(trained(task), WORK).metrics for _ in range(2))
    assert first == again
    assert task.model.training
    assert all(param.grad is None for param in task.model.parameters())
