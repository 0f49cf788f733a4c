"""The reference that every cell is held against is `tests/tram/naive.py`'s, and a wrong method would be far from it."""

import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.conformance.cells import Cell
from tests.conformance.check import TOLERANCE
from tests.conformance.problem import (
    GAIN,
    LEARNING_RATE,
    MAX_NORM,
    MOMENTUM,
    SEED,
    STEPS,
    Batch,
    Classifier,
    make_model,
    rows_of,
    whole_batches,
)
from tests.conformance.reference import Weights, reference
from tests.tram.naive import DECAY, Naive
from tram import METHODS

PLAIN = ("SGD", "Adam")
NOISY = tuple(name for name, method in METHODS.items() if method.needs_input_module)


def cell(method: str, layout: str = "one process", micro_batches: int = 1, **values: object) -> Cell:
    return replace(Cell("plain loop", "full", layout, micro_batches, method, False, False), **values)  # type: ignore[arg-type]


def difference(one: Weights, other: Weights) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


class Logits(Classifier):
    """The model as a function of its input alone, written once more."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.head((GAIN * self.embedding(x)).tanh())


def noise(cell: Cell, step: int, parts: list[tuple[int, int]]) -> Tensor:
    """What is added to the embeddings of the parts, which are (process, micro-batch): N(0, 0.1^2), seed by seed."""
    drawn = []
    for rank, index in parts:
        seed = random.Random(f"{SEED} {step} {index} noise" + (f" {rank}" if rank else "")).getrandbits(63)
        generator = torch.Generator().manual_seed(seed)
        drawn.append(0.1 * torch.randn(rows_of(cell), 8, generator=generator, dtype=torch.float64))
    return torch.cat(drawn)


def naive_weights(cell: Cell) -> Weights:
    """Momentum SGD by the mean of what the naive implementation finds for each replica: one for the whole batch, or
    one for each process's part."""
    model = Logits().double()
    model.load_state_dict(make_model("full").state_dict())
    step = 0
    owned = [[(rank, index) for index in range(cell.micro_batches)] for rank in range(cell.processes)]
    replicas = owned if cell.layout == "DDP local" else [[part for own in owned for part in own]]

    def of(parts: list[tuple[int, int]]) -> Naive:
        return Naive(
            cell.method,
            model,
            model.embedding,
            lambda logits, batch: F.cross_entropy(logits, batch["labels"]),
            lambda batch: batch["x"],
            lambda logits: logits,
            lambda out: noise(cell, step, parts),
        )

    estimators = [of(parts) for parts in replicas]
    weights = {name: param.detach().clone().requires_grad_() for name, param in model.named_parameters()}
    first = {name: weight.detach() for name, weight in weights.items()}
    previous, average, velocity = first, first, {name: torch.zeros_like(weight) for name, weight in first.items()}
    for batch in whole_batches("full"):
        past = first if cell.method == "TRAM-pre" else average if "MESA" in cell.method else previous
        found = [
            estimator.descent_gradient(weights, past, own)
            for estimator, own in zip(estimators, shared_out(batch, len(replicas)), strict=True)
        ]
        mean = {name: torch.stack([g[name] for g in found]).mean(0) for name in weights}
        norm = torch.cat([g.flatten() for g in mean.values()]).norm()
        share = min(1.0, MAX_NORM / float(norm)) if cell.clipping else 1.0
        average = {name: DECAY * average[name] + (1 - DECAY) * weights[name].detach() for name in weights}
        previous = {name: weight.detach() for name, weight in weights.items()}
        velocity = {name: MOMENTUM * velocity[name] + share * mean[name] for name in weights}
        weights = {name: (weights[name] - LEARNING_RATE * velocity[name]).detach().requires_grad_() for name in weights}
        step += 1
    assert step == STEPS
    return {name: weight.detach() for name, weight in weights.items()}


def shared_out(batch: Batch, count: int) -> list[Batch]:
    chunks = {name: values.chunk(count) for name, values in batch.items()}
    return [{name: chunks[name][index] for name in chunks} for index in range(count)]


def is_that_of_the_whole_batch(this: Cell) -> bool:
    """naive.py knows no parts. MMD compares sets: its mean over parts is not that of the whole."""
    return this.method != "TRAM-x-MMD" or (this.micro_batches == 1 and this.layout != "DDP global")


HELD = [
    this
    for method in METHODS
    if method != "Adam"
    for layout in ("one process", "DDP global", "DDP local")
    for micro_batches in (1, 4)
    for clipping in (False, True)
    if is_that_of_the_whole_batch(this := cell(method, layout, micro_batches, clipping=clipping))
]


@pytest.mark.parametrize("this", HELD, ids=str)
def test_the_reference_is_the_naive_implementation(this: Cell) -> None:
    # naive.py clips by the norm alone, torch by the norm + 1e-6.
    assert difference(reference(this), naive_weights(this)) < (1e-5 if this.clipping else 1e-12)


def test_the_reference_of_adam_is_adam() -> None:
    model = make_model("full")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1 * LEARNING_RATE)
    for batch in whole_batches("full"):
        optimizer.zero_grad()
        model(**batch)["loss"].backward()
        optimizer.step()
    for this in (cell("Adam"), cell("Adam", "DDP global", 4), cell("Adam", "DDP local", 4)):
        found = dict(model.named_parameters())
        assert difference(reference(this), {name: param.detach() for name, param in found.items()}) < 1e-12


@pytest.mark.parametrize(("precision", "near"), [("bf16", 0.1), ("fp16", 0.01)])
@pytest.mark.parametrize("method", [name for name in METHODS if name not in NOISY])
def test_the_reference_under_autocast_is_near_the_exact_one(method: str, precision: str, near: float) -> None:
    """Methods with noise are left out: it is drawn in the precision of what it is added to, and is other numbers."""
    assert 0 < difference(reference(cell(method, precision=precision)), reference(cell(method))) < near


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("method", [name for name in METHODS if name not in PLAIN])
def test_without_its_method_a_cell_would_be_far_outside_the_tolerance(method: str, precision: str) -> None:
    for clipping in (False, True):
        for layout in ("one process", "DDP global", "DDP local"):
            this = cell(method, layout, precision=precision, clipping=clipping)
            assert difference(reference(this), reference(replace(this, method="SGD"))) > 10 * TOLERANCE[precision]


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("method", METHODS)
def test_without_clipping_a_clipped_cell_would_be_far_outside_the_tolerance(method: str, precision: str) -> None:
    this = cell(method, precision=precision)
    assert difference(reference(this), reference(replace(this, clipping=True))) > 10 * TOLERANCE[precision]


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.ascent is not None])
def test_local_is_far_from_global(method: str, precision: str) -> None:
    this = cell(method, "DDP local", precision=precision)
    assert difference(reference(this), reference(replace(this, layout="DDP global"))) > 10 * TOLERANCE[precision]


def test_the_model_is_small_and_every_weight_is_trained() -> None:
    model: nn.Module = make_model("full")
    assert sum(param.numel() for param in model.parameters()) == 75
    before = dict(model.named_parameters())
    assert all((reference(cell("SGD"))[name] != before[name]).all() for name in before)
