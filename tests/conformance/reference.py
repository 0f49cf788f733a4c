"""What a cell's weights must be: those of a plain loop in one process, which sees what all processes see.

`test_reference.py` holds it against `tests/tram/naive.py`, which shares no code with the library.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor, nn

from tests.conformance.cells import Cell
from tests.conformance.problem import (
    AUTOCAST,
    MAX_NORM,
    SEED,
    Batch,
    Classifier,
    make_model,
    make_optimizer,
    make_scaler,
    parts,
)
from tests.problems import weights
from tests.tram.several import standing_in_for
from tram import TRAM

Weights = dict[str, Tensor]


def reference(cell: Cell) -> Weights:
    """The weights after the last step, by what of the cell they depend on: neither the way nor stopping."""
    local = cell.layout == "DDP local"
    return _reference(cell.method, cell.precision, cell.processes, local, cell.micro_batches, cell.clipping)


@cache
def _reference(method: str, precision: str, processes: int, local: bool, micro_batches: int, clipping: bool) -> Weights:
    layout = "DDP local" if local else "DDP global" if processes == 2 else "one process"
    cell = Cell("plain loop", precision, layout, micro_batches, method, clipping, False)
    return weights((_by_own_parts if local else _by_whole_batch)(cell))


def forward_of(model: nn.Module, precision: str) -> Callable[[Batch], tuple[Tensor, Tensor]]:
    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", AUTOCAST[precision]) if precision in AUTOCAST else nullcontext():
            outputs = model(**batch)
        return outputs["loss"], outputs["logits"]

    return forward


def _by_whole_batch(cell: Cell) -> Classifier:
    """All processes' micro-batches one after the other, each with the noise that its process would draw."""
    model = make_model(cell.precision)
    scaler, optimizer = make_scaler(cell.precision), make_optimizer(cell.method, model)
    tram = TRAM(model, cell.method, scaler=scaler, seed=SEED)
    everyone = [parts(cell, rank) for rank in range(cell.processes)]
    count = cell.micro_batches
    with standing_in_for(lambda index: index // count, lambda index: index % count):
        for step in zip(*everyone, strict=True):
            tram.backward(forward_of(model, cell.precision), *(batch for own in step for batch in own))
            apply_gradient(cell, model, optimizer, scaler)
    return model


def _by_own_parts(cell: Cell) -> Classifier:
    """m-sharpness from its definition: an estimator and a copy of the model for each part; both copies move by the
    mean of the gradients."""
    models = [make_model(cell.precision) for _ in range(cell.processes)]
    scalers = [make_scaler(cell.precision) for _ in models]
    optimizers = [make_optimizer(cell.method, model) for model in models]
    trams = [TRAM(model, cell.method, scaler=scaler, seed=SEED) for model, scaler in zip(models, scalers, strict=True)]
    everyone = [parts(cell, rank) for rank in range(cell.processes)]
    for step in zip(*everyone, strict=True):
        for rank, own in enumerate(step):
            with _noise_of(rank):
                trams[rank].backward(forward_of(models[rank], cell.precision), *own)
        for params in zip(*(model.parameters() for model in models), strict=True):
            mean = torch.stack([torch.as_tensor(param.grad) for param in params]).mean(0)
            for param in params:
                param.grad = mean.clone()
        for model, optimizer, scaler in zip(models, optimizers, scalers, strict=True):
            apply_gradient(cell, model, optimizer, scaler)
    return models[0]


def _noise_of(rank: int) -> AbstractContextManager[None]:
    return standing_in_for(lambda index: rank, lambda index: index)


def apply_gradient(
    cell: Cell, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None
) -> None:
    """What an ordinary loop does with gradients, whatever they are of."""
    if scaler is not None:
        scaler.unscale_(optimizer)
    if cell.clipping:
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad()
