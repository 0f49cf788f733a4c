"""The one training loop: recipe, method and seed in; trained weights and what was measured on the way out."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset, Subset

from benchmarks.batches import batch_items, micro_batches, moved, training_batches
from benchmarks.checkpoint import Checkpoints, over_all, set_optimizer, set_random_states, set_weights, weights
from benchmarks.errors import NonFiniteError, RunError
from benchmarks.evaluation import evaluate, score
from benchmarks.execution import Execution
from benchmarks.methods import Resolved
from benchmarks.parallel import parallelised
from benchmarks.precision import used_precision
from benchmarks.row import Metric, Recipe
from benchmarks.stopping import StoppedError, StopRequest
from benchmarks.task import Batch, Forward, Outputs, Report, Task, silent
from tram import TRAM, KeptLogits, Passes

CHECK_EVERY = 50
"""Steps between two looks at the losses: each look waits for the device, and a lost run loses at most these steps."""


@dataclass(frozen=True)
class Training:
    """What a training run leaves beside the weights in its task's model.

    `curves` holds one value per step: `loss` (nats, at theta, without the penalty) and, where the method has them,
    `distance`, `radius` and `perturbation_norm`. `validation_nll` is keyed by step; `stages`, of a sequence of
    domains, all but the last, by `after <domain>/metric/domain`. `resumed` counts how often the run was taken up from a
    checkpoint.
    """

    selected_step: int
    curves: Mapping[str, list[float]]
    validation_nll: Mapping[int, float]
    degenerate_steps: int
    passes: Passes
    seconds: float
    stages: Mapping[str, float] = field(default_factory=dict)
    resumed: int = 0


def train(
    task: Task,
    recipe: Recipe,
    resolved: Resolved,
    seed: int,
    report: Report,
    *,
    execution: Execution = Execution(),
    checkpoints: Checkpoints | None = None,
    stop: StopRequest | None = None,
    metric: Metric = "accuracy",
) -> Training:
    """Fine-tune `task.model` in place and leave it at the selected weights.

    Every method of a seed sees the same batches and, as TRAM replays them, the same dropout masks. With `checkpoints`
    the run begins where the newest one was made, and ends as if it had never been interrupted. Raises NonFiniteError,
    naming the first bad step, when a loss is NaN or infinite, and StoppedError, after a checkpoint, when asked to stop.
    """
    started = time.perf_counter()
    run = _Run(task, recipe, resolved, seed, execution)
    torch.manual_seed(seed)
    if checkpoints is not None and (state := checkpoints.latest()) is not None:
        try:
            run.load(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{checkpoints.folder}: was written by other code ({type(error).__name__}: {error}). "
                "Delete the folder to start anew."
            ) from error
    earlier = run.seconds
    task.model.train()
    for step, indices, batch in run.batches():
        run.step(step, indices, batch)
        run.seconds = earlier + time.perf_counter() - started
        if step % recipe.steps == 0 and step < run.steps:
            run.measure_stage(step, metric)
        if checkpoints is not None:
            asked = stop is not None and _any(bool(stop), execution)
            every = recipe.checkpoint_every
            if asked or (every is not None and (step % every == 0 or step == run.steps)):
                checkpoints.save(step, run.state(step))
            if asked:
                by = stop.by if stop else None
                raise StoppedError(
                    f"stopped at step {step:,} of {run.steps:,} by {by or 'another process'}, after a checkpoint: "
                    "the same command goes on from there",
                    by,
                )
        report("train", step, run.steps)
    return run.finished()


@dataclass
class _Run:
    """All that moves during a run, and how to write it down and take it up again."""

    task: Task
    recipe: Recipe
    resolved: Resolved
    seed: int
    execution: Execution
    done: int = 0
    seconds: float = 0.0
    resumed: int = 0
    passes: Passes = Passes(0, 0)
    stages: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        task, recipe, method = self.task, self.recipe, self.resolved.method
        self.called = parallelised(task.model, self.execution.processes)
        # Only now: sharding puts other parameters into the model.
        self.params = [param for param in task.model.parameters() if param.requires_grad]
        self.device = self.params[0].device
        self.optimizer = base_optimizer(recipe, self.params)
        self.scheduler = LambdaLR(self.optimizer, lambda step: lr_factor(recipe, step % max(1, recipe.steps)))
        is_half = used_precision(recipe.precision, self.device) == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type) if is_half else None
        self.kept = _kept_logits(task, recipe, self.resolved)
        self.tram = TRAM(
            self.called,
            method,
            input_module=task.input_module,
            scaler=self.scaler,
            seed=self.seed,
            reference_logits=self.kept,
        )
        self.curves = _Curves(self.steps, self.device)
        self.selection = _Selection(recipe)

    @property
    def datasets(self) -> list[Dataset[Any]]:
        return [self.task.train, *self.task.sequence.values()]

    @property
    def steps(self) -> int:
        return self.recipe.steps * len(self.datasets)

    # ------------------------------------------------------------------------------------------------------- one step

    def batches(self) -> Iterator[tuple[int, list[int], Batch]]:
        """From the step after the last one done: its number, the indices of its examples, and this process's share."""
        per_stage = self.recipe.steps
        for stage, data in enumerate(self.datasets):
            first = max(0, self.done - stage * per_stage)
            if first >= per_stage:
                continue
            items = batch_items(len(cast(Any, data)), self.recipe.batch_size, per_stage, self.seed + stage, first)
            batches = training_batches(
                self.task, data, items, self.execution.processes, self.device, self.execution.loaders
            )
            for step, (indices, batch) in enumerate(batches, start=stage * per_stage + first + 1):
                yield step, indices, moved(batch, self.device)

    def step(self, step: int, indices: list[int], batch: Batch) -> None:
        self._move_bounds(step)
        if self.kept is not None:
            batch = batch | {"index": torch.tensor(indices)}
        pieces = micro_batches(batch, self.recipe.micro_batches)
        if step < self.steps:
            loss = self.tram.backward(partial(self.task.forward, self.called), *pieces)
        else:
            with counted_passes(self.task.model, self.task.forward) as (counted, count):
                loss = self.tram.backward(partial(counted, self.called), *pieces)
            self.passes = Passes(count.forward // len(pieces), count.backward // len(pieces))
        self._update()
        if self.execution.processes.are_many:
            # Each process has the loss of its share; that of the batch tells all of them the same.
            dist.all_reduce(loss)
            loss = loss / self.execution.processes.count
        self.curves.keep(
            step,
            loss=loss,
            distance=self.tram.distance,
            radius=self.tram.radius,
            perturbation_norm=self.tram.perturbation_norm,
        )
        if step % CHECK_EVERY == 0 or step == self.steps:
            self.curves.check(step)
        self.selection.consider(step, self.steps, self.task, self.execution)
        self.done = step

    def _update(self) -> None:
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.params, self.recipe.clip)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad()
        self.scheduler.step()

    def _move_bounds(self, step: int) -> None:
        region, nll = self.resolved.method.trust_region, list(self.selection.nll.values())
        if region is not None and self.resolved.scale is not None:
            self.tram.scale = region.scale * self.resolved.scale.factor(step, self.steps, nll)
        if region is not None and region.maximum is not None and self.resolved.maximum is not None:
            self.tram.maximum = region.maximum * self.resolved.maximum.factor(step, self.steps, nll)

    def measure_stage(self, step: int, metric: Metric) -> None:
        """Score all domains after a stage of a sequence; what was learned before may be forgotten by now.

        Not after the last, when all is scored anyway.
        """
        domain = [next(iter(self.task.test)), *self.task.sequence][step // self.recipe.steps - 1]
        found = evaluate(self.task, metric, self.recipe.evaluation_batch_size, silent, self.execution)
        for key, value in found.items():
            if key.startswith("test/"):
                self.stages[key.replace("test", f"after {domain}", 1)] = value

    # ------------------------------------------------------------------------------------------------- to and from disk

    def state(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "weights": weights(self.task.model),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": {"last_epoch": self.scheduler.last_epoch},
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "tram": self.tram.state_dict(),
            "kept": None if self.kept is None else self.kept.state_dict(),
            "curves": self.curves.state(step),
            "validation_nll": self.selection.nll,
            "best": self.selection.best,
            "stages": self.stages,
            "passes": list(self.passes),
            "seconds": self.seconds,
            "resumed": self.resumed,
        }

    def load(self, checkpoint: Mapping[str, Any]) -> None:
        state = checkpoint["shared"]
        set_weights(self.task.model, state["weights"])
        set_optimizer(self.optimizer, state["optimizer"])
        # The scheduler's own state holds functions; all that it depends on is how often it was called.
        self.scheduler.last_epoch = state["scheduler"]["last_epoch"]
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        if self.kept is not None:
            self.kept.load_state_dict(state["kept"])
        self.tram.load_state_dict(state["tram"])
        self.curves.load(state["curves"])
        self.selection.nll, self.selection.best = state["validation_nll"], state["best"]
        self.stages, self.seconds, self.passes = state["stages"], state["seconds"], Passes(*state["passes"])
        self.done, self.resumed = state["step"], state["resumed"] + 1
        set_random_states(checkpoint["random"])

    def finished(self) -> Training:
        return Training(
            selected_step=self.selection.restore(self.task.model, self.steps),
            curves=self.curves.read(),
            validation_nll=self.selection.nll,
            degenerate_steps=0 if self.tram.degenerate_steps is None else int(self.tram.degenerate_steps),
            passes=self.passes,
            seconds=self.seconds,
            stages=self.stages,
            resumed=self.resumed,
        )


def _any(asked: bool, execution: Execution) -> bool:
    """Whether any process of the run was asked: all have to stop at the same step."""
    if not execution.processes.are_many:
        return asked
    return bool(over_all(int(asked), dist.ReduceOp.MAX))


def _kept_logits(task: Task, recipe: Recipe, resolved: Resolved) -> KeptLogits | None:
    if not recipe.keep_reference:
        return None
    if task.augmented or task.sequence:
        raise RunError(
            "the reference's logits can only be kept where an example is the same in every epoch: "
            "this benchmark changes its images, or its domain; leave out --keep-reference"
        )
    return KeptLogits(len(cast(Any, task.train)))


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


@dataclass
class PassCount:
    """Forward calls of a model and backward passes through its parameters."""

    forward: int = 0
    backward: int = 0


@contextmanager
def counted_passes(model: nn.Module, forward: Forward) -> Iterator[tuple[Forward, PassCount]]:
    """Count what is really computed inside: calls of the model, and backward passes through what `forward` returns.

    The losses are hooked, not the parameters: those of a sharded model are not what a backward pass reaches.
    """
    count = PassCount()

    def called(module: nn.Module, args: object) -> None:
        count.forward += 1

    def reached(gradient: Tensor) -> None:
        count.backward += 1

    def hooked(model: nn.Module, batch: Batch) -> Outputs:
        outputs = forward(model, batch)
        if outputs[0].requires_grad:
            outputs[0].register_hook(reached)
        return outputs

    handle = model.register_forward_pre_hook(called)
    try:
        yield hooked, count
    finally:
        handle.remove()


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

    def state(self, step: int) -> dict[str, Tensor]:
        return {name: values[:step].clone() for name, values in self._values.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        for name, values in state.items():
            self._values[name] = torch.zeros(self._steps, device=self._device)
            self._values[name][: len(values)].copy_(values)


@dataclass
class _Selection:
    """The weights to keep: the last, or those of the lowest validation nll, which are held in the CPU's memory."""

    recipe: Recipe
    nll: dict[int, float] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.recipe.selection == "validation" and self.recipe.evaluation_every is None:
            raise ValueError('selection="validation" needs evaluation_every')

    def consider(self, step: int, steps: int, task: Task, execution: Execution) -> None:
        every = self.recipe.evaluation_every
        if every is None or task.validation is None or (step % every and step < steps):
            return
        nll = score(task, self._examples(task.validation), self.recipe.evaluation_batch_size, execution).nll
        # A validation nll that is NaN is never the lowest; the losses tell at which step it went wrong.
        if self.recipe.selection == "validation" and nll < min(self.nll.values(), default=math.inf):
            self.best = weights(task.model, torch.device("cpu"))
        self.nll[step] = nll

    def _examples(self, validation: Dataset[Any]) -> Dataset[Any]:
        wanted, there = self.recipe.selection_examples, len(cast(Any, validation))
        return validation if wanted is None or wanted >= there else Subset(validation, range(wanted))

    def restore(self, model: nn.Module, steps: int) -> int:
        """Put the selected weights into `model`; the step that they are of."""
        if self.recipe.selection == "last" or steps == 0:
            return steps
        if not self.best:
            raise NonFiniteError("no validation nll is finite")
        set_weights(model, self.best)
        return min(self.nll, key=lambda step: (self.nll[step], step))
