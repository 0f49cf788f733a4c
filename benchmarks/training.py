"""The one training loop: recipe, method and seed in; trained weights and what was measured on the way out."""

import math
import time
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from benchmarks.errors import NonFiniteError
from benchmarks.evaluation import score
from benchmarks.registry import Recipe
from benchmarks.task import Batch, Report, Task
from tram import TRAM, Method, Passes

CHECK_EVERY = 50
"""Steps between two looks at the losses: each look waits for the device, and a lost run loses at most these steps."""


@dataclass(frozen=True)
class Training:
    """What a training run leaves beside the weights in its task's model.

    `curves` holds one value per step: `loss` (nats, at theta, without the penalty) and, where the method has them,
    `distance`, `radius` and `perturbation_norm`. `validation_nll` is keyed by step.
    """

    selected_step: int
    curves: Mapping[str, list[float]]
    validation_nll: Mapping[int, float]
    degenerate_steps: int
    passes: Passes
    seconds: float


def train(task: Task, recipe: Recipe, method: Method, seed: int, report: Report) -> Training:
    """Fine-tune `task.model` in place and leave it at the selected weights.

    Every method of a seed sees the same batches and, as TRAM replays them, the same dropout masks.
    Raises NonFiniteError, naming the first bad step, when a loss is NaN or infinite.
    """
    started = time.perf_counter()
    model = task.model
    params = [param for param in model.parameters() if param.requires_grad]
    optimizer = base_optimizer(recipe, params)
    scheduler = LambdaLR(optimizer, partial(lr_factor, recipe))
    tram = TRAM(model, method, input_module=task.input_module, seed=seed)
    forward = partial(task.forward, model)
    curves = _Curves(recipe.steps, params[0].device)
    selection = _Selection(recipe)
    passes = Passes(0, 0)
    torch.manual_seed(seed)
    model.train()
    for step, batch in enumerate(training_batches(task, recipe, seed), start=1):
        pieces = micro_batches(_moved(batch, params[0].device), recipe.micro_batches)
        if step < recipe.steps:
            loss = tram.backward(forward, *pieces)
        else:
            with counted_passes(model) as count:
                loss = tram.backward(forward, *pieces)
            passes = Passes(count.forward // len(pieces), count.backward // len(pieces))
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(params, recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        curves.keep(
            step, loss=loss, distance=tram.distance, radius=tram.radius, perturbation_norm=tram.perturbation_norm
        )
        if step % CHECK_EVERY == 0 or step == recipe.steps:
            curves.check(step)
        selection.consider(step, task)
        report("train", step, recipe.steps)
    selected_step = selection.restore(model)
    return Training(
        selected_step=selected_step,
        curves=curves.read(),
        validation_nll=selection.nll,
        degenerate_steps=0 if tram.degenerate_steps is None else int(tram.degenerate_steps),
        passes=passes,
        seconds=time.perf_counter() - started,
    )


def base_optimizer(recipe: Recipe, params: list[nn.Parameter]) -> torch.optim.Optimizer:
    if recipe.base_optimizer == "SGD":
        return torch.optim.SGD(params, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(params, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)


def lr_factor(recipe: Recipe, step: int) -> float:
    """What the learning rate is multiplied by at `step`, counted from 0.

    With w = warmup_steps: (step + 1)/(w + 1) below w, so that no step is wasted at 0; from there, with
    t = (step - w)/(steps - w), 1 - t (linear) or (1 + cos(pi t))/2 (cosine), 0 after the last step.
    """
    if step < recipe.warmup_steps:
        return (step + 1) / (recipe.warmup_steps + 1)
    done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return 1 - done if recipe.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


def batch_indices(examples: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """The indices of `steps` batches: a permutation of all examples per epoch, its last short batch dropped."""
    if examples < batch_size:
        raise ValueError(f"{examples} training examples do not fill a batch of {batch_size}: lower batch_size")
    generator = torch.Generator().manual_seed(seed)
    per_epoch = examples // batch_size
    for step in range(steps):
        position = step % per_epoch
        if position == 0:
            order = torch.randperm(examples, generator=generator).tolist()
        yield order[position * batch_size : (position + 1) * batch_size]


def training_batches(task: Task, recipe: Recipe, seed: int) -> Iterator[Batch]:
    examples = len(cast(Sized, task.train))
    order = batch_indices(examples, recipe.batch_size, recipe.steps, seed)
    # A loader without a generator of its own draws from the global one, which dropout uses.
    return iter(DataLoader(task.train, batch_sampler=order, collate_fn=task.collate, generator=torch.Generator()))


def micro_batches(batch: Batch, count: int) -> list[Batch]:
    """`batch` cut along its first dimension into `count` equal parts."""
    examples = len(next(iter(batch.values())))
    if examples % count:
        raise ValueError(f"a batch of {examples} does not divide into {count} micro-batches")
    pieces = [tensor.split(examples // count) for tensor in batch.values()]
    return [dict(zip(batch, tensors, strict=True)) for tensors in zip(*pieces, strict=True)]


def _moved(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


@dataclass
class PassCount:
    """Forward calls of a model and backward passes through its parameters."""

    forward: int = 0
    backward: int = 0


@contextmanager
def counted_passes(model: nn.Module) -> Iterator[PassCount]:
    """Count, with hooks, what is really computed inside.

    A backward pass reaches each parameter once, however often the model was called for it: the parameter that is
    reached most often tells their number.
    """
    count = PassCount()
    reached = {name: 0 for name, param in model.named_parameters() if param.requires_grad}

    def called(module: nn.Module, args: object) -> None:
        count.forward += 1

    def reach(name: str, gradient: Tensor) -> None:
        reached[name] += 1

    handles = [model.register_forward_pre_hook(called)]
    handles += [
        param.register_hook(partial(reach, name)) for name, param in model.named_parameters() if name in reached
    ]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()
        count.backward = max(reached.values(), default=0)


class _Curves:
    """Per-step scalars, kept on the device so that no step waits for it."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self._steps = steps
        self._device = device
        self._values: dict[str, Tensor] = {}
        self._checked = 0

    def keep(self, step: int, **scalars: Tensor | None) -> None:
        for name, value in scalars.items():
            if value is not None:
                if name not in self._values:
                    self._values[name] = torch.zeros(self._steps, device=self._device)
                self._values[name][step - 1].copy_(value)

    def check(self, step: int) -> None:
        """Raise NonFiniteError at the first loss up to `step` that is not a finite number."""
        losses = self._values["loss"][self._checked : step]
        bad = (~losses.isfinite()).nonzero().flatten().tolist()
        if bad:
            raise NonFiniteError(f"the loss is {losses[bad[0]].item()} at step {self._checked + bad[0] + 1}")
        self._checked = step

    def read(self) -> dict[str, list[float]]:
        return {name: values.tolist() for name, values in self._values.items()}


@dataclass
class _Selection:
    """The weights to keep: the last, or those of the lowest validation nll."""

    recipe: Recipe
    nll: dict[int, float] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.recipe.selection == "validation" and self.recipe.evaluation_every is None:
            raise ValueError('selection="validation" needs evaluation_every')

    def consider(self, step: int, task: Task) -> None:
        every = self.recipe.evaluation_every
        if every is None or (step % every and step < self.recipe.steps):
            return
        nll = score(task, task.validation, self.recipe.evaluation_batch_size).nll
        # A validation nll that is NaN is never the lowest; the losses tell at which step it went wrong.
        if self.recipe.selection == "validation" and nll < min(self.nll.values(), default=math.inf):
            self.best = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
        self.nll[step] = nll

    def restore(self, model: nn.Module) -> int:
        """Put the selected weights into `model`; the step that they are of."""
        if self.recipe.selection == "last":
            return self.recipe.steps
        if not self.best:
            raise NonFiniteError("no validation nll is finite")
        model.load_state_dict(self.best)
        return min(self.nll, key=lambda step: (self.nll[step], step))
