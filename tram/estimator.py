"""TRAM: the gradient of a method, left in `p.grad` for any optimizer to apply.

One step, in the only order that is right everywhere:

    0  logits of the reference                    weights are swapped only outside a forward..backward window
    1  forward and backward of every micro-batch  at theta: the gradient g and the distance d
    2  ascend once                                theta + epsilon, epsilon = r dual / sqrt(<g, dual>)
    3  forward and backward of every micro-batch  at theta + epsilon, running statistics frozen, pass 1's dropout masks
    4  restore theta                              by in-place copy, whatever happened
    5  advance the reference                      before the base optimizer moves theta
"""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tram._ascent import ascend_
from tram._checks import is_number, is_whole, nearest, one_of
from tram._forward import Forward, ReferenceLogits, outputs_of, refuse_detached
from tram._graph import parameters_of
from tram._modes import (
    RandomState,
    dropout_off,
    frozen_statistics,
    isolated_randomness,
    normalises_by_batch,
    random_state,
    set_random_state,
)
from tram._noise import InputNoise, find_input_module
from tram._parallel import (
    Processes,
    Sync,
    find_processes,
    refuse_bypassed_replica,
    refuse_inside_replica,
    refuse_unknown_replica,
)
from tram._weights import (
    alike,
    copies,
    local,
    non_finite,
    refuse_shared_memory,
    refuse_unfit,
    swapped,
    trainable,
    warn_of_rounding,
)
from tram.divergences import distance
from tram.methods import METHODS, Ascent, Method, TrustRegion
from tram.references import NoisyInput, PastWeights

_REFERENCE = "reference."


@dataclass
class _Batch:
    """What a step remembers of its micro-batches, in their order."""

    index: int = 0
    begun: bool = False
    distance_is_agreed: bool = False
    backed_up: bool = False
    first_pass_is_finite: Tensor | None = None
    losses: list[Tensor] = field(default_factory=list)
    distances: list[Tensor] = field(default_factory=list)
    kept_logits: list[Tensor] = field(default_factory=list)
    random_states: list[RandomState] = field(default_factory=list)
    fisher_gradient: list[Tensor] = field(default_factory=list)


class TRAM:
    """Turns a loss into the gradient of a sharpness-aware or trust-region method.

        tram = TRAM(model, "TRAM-prev")
        for batch in loader:
            loss = tram.backward(forward, batch)
            optimizer.step(); optimizer.zero_grad()

    `method` is a name of `METHODS` or a `Method`. `input_module` is the module whose output noise is added to, for
    methods with noise; token and patch embeddings are found by themselves. `scaler` is the GradScaler of fp16
    training. `seed` determines the noise. Freeze parameters, and give them device and dtype, before the first step.
    `model` must hold every parameter that the loss trains: others would add up the gradients of both passes, and the
    first step refuses them (those of shards it cannot tell).

    Several processes: `model` is the wrapped one, DistributedDataParallel(...) or fully_shard(...). With sync="global"
    g and d are averaged over them, and the result is that of one process with the whole batch; with sync="local"
    (DistributedDataParallel only) each perturbs by its own g and d, and the gradients at the perturbed weights are
    averaged: m-sharpness.

    `reference_logits` saves the reference's forward where the reference is the weights of the first step, without
    dropout (TRAM-pre), and its logits were kept: see `KeptLogits` and `ReferenceLogits`. Once those of every example
    are, its weights are dropped as well.

    `scale` and `maximum`, at first those of the method's trust region, may be set between steps: a bound that moves.

    After a step, on the device and without waiting for it:

    distance          d of the last step, the trust region's distance times its scale (nats for KL); None without one
    radius            r of the last ascent: rho, or d clamped to [floor, maximum]; None without an ascent
    gradient_norm     sqrt(<g, dual>), the norm of g that divides epsilon; None without an ascent
    perturbation_norm the Euclidean norm of epsilon; None without an ascent
    degenerate_steps  how many ascents had epsilon set to 0 because r or the norm of g was 0 or not finite
    """

    def __init__(
        self,
        model: nn.Module,
        method: str | Method,
        *,
        input_module: nn.Module | None = None,
        scaler: torch.amp.GradScaler | None = None,
        sync: Sync = "global",
        reference_logits: ReferenceLogits | None = None,
        seed: int = 0,
    ) -> None:
        one_of("TRAM", "sync", sync, Sync)
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"TRAM takes the model, as in TRAM(model, {method!r}), not {type(model).__name__}: "
                "model.parameters() is for the optimizer"
            )
        if not is_whole(seed):
            raise TypeError(f"seed must be a whole number, not {seed!r}")
        if reference_logits is not None and (isinstance(reference_logits, type) or not callable(reference_logits)):
            raise TypeError(
                "reference_logits is called with a batch, as KeptLogits(len(dataset)) may be, and cannot be "
                f"{reference_logits!r}"
            )
        self.model = model
        self.method = resolve(method)
        self.sync = sync
        self.reference_logits = reference_logits
        self.scaler = scaler
        self.seed = int(seed)
        self.steps = 0
        self.distance: Tensor | None = None
        self.radius: Tensor | None = None
        self.gradient_norm: Tensor | None = None
        self.perturbation_norm: Tensor | None = None
        self.degenerate_steps: Tensor | None = None
        if input_module is not None and not isinstance(input_module, nn.Module):
            raise TypeError(f"input_module must be a module, as model.embedding is, not {input_module!r}")
        if reference_logits is not None and not _never_changes(self.method):
            raise ValueError(
                "reference_logits are those of weights that never change and see no dropout: they need a trust region "
                f'with PastWeights(decay=1, dropout="off"), as TRAM-pre has, and this is {self.method}'
            )
        region = self.method.trust_region
        self._scale = None if region is None else region.scale
        self._maximum = None if region is None else region.maximum
        self._noise: InputNoise | None = None
        if self.method.needs_input_module:
            self._noise = InputNoise(find_input_module(model) if input_module is None else input_module)
        self._processes = Processes()
        self._params: dict[str, Tensor] = {}
        self._weights: list[Tensor] = []  # of each parameter, what this process holds: all of it, or its shard
        self._layout: list[object] = []
        self._devices: list[torch.device] = []
        self._reference: list[Tensor] = []
        self._backup: list[Tensor] = []
        self._perturbed = False
        self._graph_is_known = False
        self._wrapping_is_known = False
        self._batch = _Batch()
        self._run = object()  # names the reference of this estimator to whatever keeps its logits

    def __repr__(self) -> str:
        return f"TRAM({type(self.model).__name__}, {self.method})"

    # ---------------------------------------------------------------------------------------- a bound that may move

    @property
    def scale(self) -> float | None:
        """What the divergence is multiplied by to be d; None without a trust region. May be set between steps."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._region_to_bound("scale")
        if not is_number(value) or value <= 0:
            raise ValueError(f"tram.scale must be a number > 0: {value!r}")
        self._scale = float(value)

    @property
    def maximum(self) -> float | None:
        """Where d is cut off as a radius, None for nowhere or without a trust region. May be set between steps."""
        return self._maximum

    @maximum.setter
    def maximum(self, value: float | None) -> None:
        floor = self._region_to_bound("maximum").floor
        if value is not None and not (is_number(value) and value >= floor):
            raise ValueError(f"tram.maximum must be None or a number >= the trust region's floor, {floor}: {value!r}")
        self._maximum = None if value is None else float(value)

    def _region_to_bound(self, name: str) -> TrustRegion:
        if self.method.trust_region is None:
            raise ValueError(f"tram.{name} bounds the d of a trust region, and this method has none: {self.method}")
        return self.method.trust_region

    # ------------------------------------------------------------------------------------------------ one whole step

    def backward(self, forward: Forward, *micro_batches: Any) -> Tensor:
        """Leave the method's gradient in `p.grad`; return the first pass's mean loss, detached, without the penalty.

        Several micro-batches are one batch: the gradient is that of the mean of their losses. The weights are
        bit-identical afterwards, also if a pass raises. Raises ValueError on leftover gradients.

        Of several processes each gives its own part of the batch, in as many micro-batches as the others, and gets the
        loss of its own part. Replicas exchange gradients once a pass, shards once a micro-batch.
        """
        if not callable(forward):
            raise TypeError(
                f"backward(forward, *micro_batches): the function comes first, not {type(forward).__name__}"
            )
        if not micro_batches:
            raise ValueError("backward(forward, *micro_batches) needs at least one batch")
        refuse_inside_replica(self.model, self.sync, whole_step=True)
        objective = self.objective(forward)
        try:
            self._pass(objective, micro_batches)
            loss = torch.stack(self._batch.losses).mean()
            if self.method.ascent is not None:
                with self.perturbed():
                    self._pass(objective, micro_batches)
            self.advance()
        except BaseException:
            self.reset()
            raise
        return loss

    def _pass(self, objective: Callable[[Any], Tensor], micro_batches: tuple[Any, ...]) -> None:
        self._begin()
        last = len(micro_batches) - 1
        for index, batch in enumerate(micro_batches):
            alone = index < last or self._keeps_gradients_to_itself
            with self._processes.unsynchronised() if alone else nullcontext():
                loss = objective(batch) / len(micro_batches)
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    # ----------------------------------------------------------------------- the parts, for loops that own their passes

    def objective(self, forward: Forward) -> Callable[[Any], Tensor]:
        """objective(batch) -> the loss to differentiate: L + lambda d, with the noise that the method asks for.

        Call it once per micro-batch and differentiate it before the next; then, where `method.ascent` is present,
        again for the same micro-batches in the same order within `perturbed()`; then call `advance()`. After an
        exception call `reset()`. Raises ValueError on leftover gradients.
        """

        def regularised(batch: Any) -> Tensor:
            refuse_inside_replica(self.model, self.sync, whole_step=False)
            self._noise_is_differentiated()
            if self._perturbed:
                return self._second_pass_loss(forward, batch)
            self._begin()
            with (
                self._processes.unsynchronised() if self._keeps_gradients_to_itself else nullcontext(),
                nullcontext() if self._wrapping_is_known else self._refuse_other_wrapping(),
            ):
                loss = self._first_pass_loss(forward, batch)
            self._wrapping_is_known = True
            return loss

        return regularised

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """The weights at theta + epsilon, by the gradients that pass 1 left in `p.grad`, which are then dropped.

        On leaving, also by an exception, the weights are restored bit for bit.
        """
        if self.method.ascent is None:
            raise RuntimeError("this method has no ascent, so there is no second pass: check tram.method.ascent")
        if self._batch.index == 0:
            raise RuntimeError("perturbed() needs a first pass: call objective(batch) and its backward() before it")
        self._noise_is_differentiated()
        first_pass, self._batch.index = self._batch.index, 0
        outside = random_state(self._devices)
        self._agree_on_distance()
        self._back_up()
        try:
            self._perturbed = True
            self._ascend()
            self._forget_derived_weights()
            with frozen_statistics(self.model):
                yield
            if self._batch.index != first_pass:
                raise RuntimeError(
                    f"the second pass saw {self._batch.index} of the first pass's {first_pass} micro-batches: "
                    "within perturbed(), call objective(batch) and its backward() again for each, in the same order"
                )
        finally:
            self._restore()
            set_random_state(outside)

    @torch.no_grad()
    def _restore(self) -> None:
        torch._foreach_copy_(self._weights, self._backup)
        self._forget_derived_weights()
        self._perturbed = False

    @property
    def micro_batches_seen(self) -> int:
        """How many micro-batches `objective` has seen in the present pass."""
        return self._batch.index

    def reset(self) -> None:
        """Forget a step that was begun and will not be finished, after an exception in a pass of one's own loop.

        Clear the gradients too. If it failed within `perturbed()`, a reference at the previous step is lost: it is
        theta now, and the next step's d is 0.
        """
        if self._perturbed:  # an interrupt came while the weights were restored
            self._restore()
        self._batch = _Batch()
        self._noise_is_differentiated()
        self._processes.recover()

    def advance(self) -> None:
        """End the step: reference <- lerp(reference, theta, 1 - decay), before the base optimizer moves theta."""
        if self._batch.index == 0:
            raise RuntimeError("advance() ends a step, and none was begun: call objective(batch) before it")
        self._noise_is_differentiated()
        self._agree_on_distance()
        reference = self._past_weights
        # A previous-step reference that was this step's backup holds theta already.
        is_backup = self._shares_backup and self._batch.backed_up
        if reference is not None and reference.decay < 1 and not is_backup:
            self._move_reference(1 - reference.decay)
        if self._reference_is_kept_as_logits:
            self._reference = []
        self.steps += 1
        self._batch = _Batch()

    @torch.no_grad()
    def _move_reference(self, weight: float) -> None:
        if not self._may_be_skipped:
            torch._foreach_lerp_(self._reference, self._weights, weight)
            return
        # A step that GradScaler skips leaves everything where it was, which is known on the device alone.
        finite = self._processes.sum_over_shards(non_finite(self._gradients())) == 0
        for reference, theta in zip(self._reference, self._weights, strict=True):
            reference.lerp_(theta, (weight * finite).to(reference.device, reference.dtype))

    # ------------------------------------------------------------------------------------------------------- resuming

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: step count, seed, bound, counters, and `reference.<parameter>` tensors.

        Of a sharded model these are this process's shards, and named so: `shard 0 of 2.reference.<parameter>`. Each
        process saves and loads its own, or `torch.distributed.checkpoint` those of all. Before the first step they are
        the present weights, so that there is something to load into.
        """
        state: dict[str, Any] = {"method": repr(self.method), "seed": self.seed, "steps": self.steps}
        if self.method.ascent is not None:
            counted = self.degenerate_steps
            state["degenerate_steps"] = torch.zeros((), dtype=torch.int64) if counted is None else counted.clone()
        if self.method.trust_region is not None:
            state["scale"], state["maximum"] = self.scale, self.maximum
        if self._past_weights is not None:
            started = self
            if not self._params:
                # theta_0 is what the first step finds: this copy of the estimator is not the one that keeps it.
                started = copy.copy(self)
                started._start()
            references = zip(started._params, started._reference, strict=True) if started._reference else ()
            for name, tensor in references:
                state[started._processes.name_of_shard + _REFERENCE + name] = tensor.clone()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. The model must hold its parameters, on their device.

        A step that was begun is forgotten. Raises ValueError if the state is of another method or of another set of
        parameters; everything is then as it was.
        """
        if "method" not in state:
            raise ValueError(f"this is no state of TRAM, which has a method and steps; it has {sorted(state)}")
        if state["method"] != repr(self.method):
            raise ValueError(f"the state is of another method: {state['method']}, not {self.method!r}")
        loaded = copy.copy(self)  # until nothing is left to refuse
        loaded._load(state)
        self.__dict__.update(loaded.__dict__)

    def _load(self, state: dict[str, Any]) -> None:
        self._start()
        self._batch = _Batch()
        self.seed, self.steps = state["seed"], state["steps"]
        if "scale" in state:
            self.scale, self.maximum = state["scale"], state["maximum"]
        if "degenerate_steps" in state:
            self.degenerate_steps = state["degenerate_steps"].to(self._devices[0], copy=True)
        if self._past_weights is not None:
            self._load_reference(state)

    def _load_reference(self, state: dict[str, Any]) -> None:
        here = self._processes.name_of_shard
        names = [key for key in state if _REFERENCE in key]
        of_others = [key for key in names if not key.startswith(here + _REFERENCE)]
        if of_others:
            there = of_others[0].partition(_REFERENCE)[0]
            theirs, ours = (prefix.rstrip(".") or "whole weights" for prefix in (there, here))
            raise ValueError(
                f"the state's reference is of {theirs}, and this process holds {ours}: "
                "load what the process of the same rank saved, among as many processes"
            )
        if self._reference_is_kept_as_logits:
            self._reference = []
            return
        if not names and state["steps"] > 0 and _never_changes(self.method):
            missing = "" if self.reference_logits is not None else "give TRAM(..., reference_logits=...) and "
            raise ValueError(
                f"the state has no reference, for the logits of every example were kept: {missing}load the state of "
                "reference_logits before this one"
            )
        stored = {key.removeprefix(here + _REFERENCE): state[key] for key in names}
        expected = dict(zip(self._params, [tensor.shape for tensor in self._reference], strict=True))
        if (stored or state["steps"] > 0) and expected != {name: value.shape for name, value in stored.items()}:
            different = sorted(set(expected) ^ set(stored)) or "shapes"
            raise ValueError(f"the state's reference does not fit the model's trainable parameters: {different}")
        for tensor, name in zip(self._reference, self._params, strict=True):
            if name in stored:
                tensor.copy_(stored[name])

    # --------------------------------------------------------------------------------------------------------- passes

    def _first_pass_loss(self, forward: Forward, batch: Any) -> Tensor:
        method, region = self.method, self.method.trust_region
        state = random_state(self._devices)
        past = self._past_logits(forward, batch, state) if self._past_weights else None
        if method.ascent is not None and method.ascent.fisher_gradient == "separate":
            self._accumulate_fisher_gradient(forward, batch, state)
        with self._ascent_noise():
            loss, logits, mask = self._outputs(forward, batch)
        refuse_detached(loss)
        objective = loss
        if region is not None:
            if past is None:
                assert isinstance(region.reference, NoisyInput)
                with nullcontext() if method.penalty > 0 else torch.no_grad():
                    past = self._noisy_logits(forward, batch, state, region.reference)
            elif method.penalty > 0 and method.ascent is not None:
                self._batch.kept_logits.append(past)
            d = (
                self._distance(past, logits, mask)
                if method.penalty > 0
                else self._distance(past, logits.detach(), mask)
            )
            self._batch.distances.append(d.detach())
            self.distance = torch.stack(self._batch.distances).mean()
            objective = loss + method.penalty * d if method.penalty > 0 else loss
        self._refuse_outsiders(objective)
        # Kept last: a forward that raised has left nothing behind.
        self._batch.losses.append(loss.detach())
        self._batch.random_states.append(state)
        self._batch.index += 1
        return objective

    def _second_pass_loss(self, forward: Forward, batch: Any) -> Tensor:
        if self._batch.index >= len(self._batch.random_states):
            raise RuntimeError(
                f"the second pass has more micro-batches than the first ({len(self._batch.random_states)}): "
                "within perturbed(), call objective(batch) once for each of those"
            )
        state, region = self._batch.random_states[self._batch.index], self.method.trust_region
        set_random_state(state)
        loss, logits, mask = self._outputs(forward, batch)
        refuse_detached(loss)
        if region is not None and self.method.penalty > 0:
            if isinstance(region.reference, NoisyInput):
                reference = self._noisy_logits(forward, batch, state, region.reference)
            else:
                reference = self._batch.kept_logits[self._batch.index]
            loss = loss + self.method.penalty * self._distance(reference, logits, mask)
        if self._batch.first_pass_is_finite is not None:
            # GradScaler looks at the gradients of the second pass alone, and by this on every process at the same.
            loss = loss * torch.where(self._batch.first_pass_is_finite, 1.0, torch.nan).to(loss.device, loss.dtype)
        self._batch.index += 1
        return loss

    def _outputs(self, forward: Forward, batch: Any) -> tuple[Tensor, Any, Tensor | None]:
        return outputs_of(forward, batch, is_called_again=self.method.passes.forward > 1)

    def _past_logits(self, forward: Forward, batch: Any, state: RandomState) -> Tensor:
        assert self._past_weights is not None
        self._refuse_logits_of_another_run()
        kept = None if self.reference_logits is None else self.reference_logits(batch)
        if kept is not None:
            return kept
        if self.reference_logits is not None and normalises_by_batch(self.model):
            raise ValueError(
                "reference_logits are those of one example, and with BatchNorm in training mode they depend on its "
                "whole batch: put those layers into evaluation mode, or leave reference_logits out"
            )
        if not self._reference:
            raise RuntimeError(
                "reference_logits had the logits of every example, so that the reference's weights were dropped, and "
                "has none of this batch: do not take away what it has kept"
            )
        try:
            with swapped(self._weights, self._reference), torch.no_grad():
                self._forget_derived_weights()
                logits = self._forward_of_reference(forward, batch, state, self._past_weights)
        finally:
            self._forget_derived_weights()
        keeping: Any = self.reference_logits
        if hasattr(keeping, "keep"):
            keeping.keep(batch, logits)
            if hasattr(keeping, "keeper"):
                keeping.keeper = self._run
        return logits

    def _refuse_logits_of_another_run(self) -> None:
        """Raise ValueError, in a first step, if logits were kept of other first weights than those of this run."""
        if self.steps == 0 and getattr(self.reference_logits, "keeper", None) not in (None, self._run):
            raise ValueError(
                "reference_logits holds the logits of another run, whose first weights are its reference: make a new "
                "KeptLogits(...) for each run; or, to resume that run, load its state into TRAM as well"
            )

    def _noisy_logits(self, forward: Forward, batch: Any, state: RandomState, noise: NoisyInput) -> Tensor:
        assert self._noise is not None
        with self._noise.added(noise, self._derived_seed("noise")):
            return self._forward_of_reference(forward, batch, state, noise)

    def _forward_of_reference(
        self, forward: Forward, batch: Any, state: RandomState, reference: PastWeights | NoisyInput
    ) -> Tensor:
        start = self._derived_seed("dropout") if reference.dropout == "fresh" else state
        mode = dropout_off(self.model) if reference.dropout == "off" else nullcontext()
        beside = nullcontext() if torch.is_grad_enabled() else self._processes.unnoticed()
        with beside, mode, frozen_statistics(self.model), isolated_randomness(self._devices, start):
            logits = self._outputs(forward, batch)[1]
        if not isinstance(logits, Tensor):
            raise TypeError(
                f"this method compares logits, and forward(batch) returned {type(logits).__name__} in their place"
            )
        return logits

    def _distance(self, reference: Tensor, current: Tensor, mask: Tensor | None) -> Tensor:
        region = self.method.trust_region
        assert region is not None
        assert self.scale is not None
        return self.scale * distance(region.divergence, reference.to(current.device), current, mask, region.reduction)

    def _agree_on_distance(self) -> None:
        """The mean of all processes' distances, once a step, before it is a radius."""
        if self._batch.distances and not self._batch.distance_is_agreed:
            self.distance = self._processes.mean(torch.stack(self._batch.distances).mean())
            self._batch.distance_is_agreed = True

    def _ascent_noise(self) -> Any:
        if not self.method.sees_noise_first:
            return nullcontext()
        ascent = self.method.ascent
        assert ascent is not None
        assert self._noise is not None
        return self._noise.added(NoisyInput(ascent.noise_std, ascent.noise_relative), self._derived_seed("noise"))

    def _accumulate_fisher_gradient(self, forward: Forward, batch: Any, state: RandomState) -> None:
        """Algorithm 2 to the letter: the Fisher information has a noisy pass of its own, the gradient a clean one."""
        assert self._noise is not None
        assert self.method.ascent is not None
        noise = NoisyInput(self.method.ascent.noise_std, self.method.ascent.noise_relative)
        with (
            self._processes.unnoticed(),
            self._noise.added(noise, self._derived_seed("noise")),
            frozen_statistics(self.model),
            isolated_randomness(self._devices, state),
        ):
            loss = self._outputs(forward, batch)[0]
            refuse_detached(loss)
            loss = loss if self.scaler is None else self.scaler.scale(loss)
            grads = self._processes.gradients(loss, list(self._params.values()))
        self._noise_is_differentiated()
        if self._batch.fisher_gradient:
            torch._foreach_add_(self._batch.fisher_gradient, grads)
        else:
            self._batch.fisher_gradient = grads

    def _noise_is_differentiated(self) -> None:
        if self._noise is not None:
            self._noise.differentiated()

    # --------------------------------------------------------------------------------------------------------- ascent

    def _ascend(self) -> None:
        """theta <- theta + epsilon by the gradients in `p.grad`, which are dropped."""
        ascent = self.method.ascent
        assert ascent is not None
        moved = [index for index, param in enumerate(self._params.values()) if param.grad is not None]
        if not moved:
            raise RuntimeError(
                "no parameter has a gradient after the first pass: differentiate what objective() returns, and let no "
                "hook step an optimizer or clear gradients within backward()"
            )
        params = [self._weights[index] for index in moved]
        grads = self._gradients()
        self._unscale(grads)
        fisher = [self._batch.fisher_gradient[index] for index in moved] if self._batch.fisher_gradient else grads
        if self._batch.fisher_gradient:
            self._unscale(fisher)
            torch._foreach_div_(fisher, len(self._batch.losses))
            self._processes.average_(fisher)
        self.radius = self._radius(ascent, params[0])
        self.gradient_norm, self.perturbation_norm, degenerate = ascend_(
            ascent.geometry, params, grads, fisher, self.radius, self._processes.sum_over_shards
        )
        if self._may_be_skipped:
            self._batch.first_pass_is_finite = self.gradient_norm.isfinite()
        self.degenerate_steps = degenerate + (0 if self.degenerate_steps is None else self.degenerate_steps)
        for param in self._params.values():
            param.grad = None

    @torch.no_grad()
    def _gradients(self) -> list[Tensor]:
        """What this process holds of the gradients that there are."""
        return [local(param.grad) for param in self._params.values() if param.grad is not None]

    def _radius(self, ascent: Ascent, like: Tensor) -> Tensor:
        if ascent.radius != "d":
            return torch.full(
                (), ascent.radius, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device
            )
        region = self.method.trust_region
        assert region is not None
        assert self.distance is not None
        return self.distance.clamp(min=region.floor, max=self.maximum)

    @torch.no_grad()
    def _unscale(self, grads: list[Tensor]) -> None:
        """Divide by the GradScaler's scale, asked for by scaling a 1 so that the device is not waited for."""
        if self.scaler is not None:
            for group in alike(grads, grads):
                members = [grads[index] for index in group]
                torch._foreach_mul_(members, self.scaler.scale(torch.ones((), device=members[0].device)).reciprocal())

    @torch.no_grad()
    def _back_up(self) -> None:
        self._batch.backed_up = True
        if self._backup:
            torch._foreach_copy_(self._backup, self._weights)
        elif self._shares_backup:
            self._backup = self._reference
            torch._foreach_copy_(self._backup, self._weights)
        else:
            self._backup = copies(self._weights)

    # ---------------------------------------------------------------------------------------------------------- state

    @property
    def _past_weights(self) -> PastWeights | None:
        region = self.method.trust_region
        return region.reference if region is not None and isinstance(region.reference, PastWeights) else None

    @property
    def _averages_weights(self) -> bool:
        return self._past_weights is not None and 0 < self._past_weights.decay < 1

    @property
    def _reference_is_kept_as_logits(self) -> bool:
        """Whether the reference's logits of every example are at hand, so that its weights are of no more use."""
        return bool(getattr(self.reference_logits, "complete", False))

    @property
    def _shares_backup(self) -> bool:
        """Whether theta before the ascent, kept to be restored, is what the next step calls theta_{t-1}."""
        previous = self._past_weights is not None and self._past_weights.decay == 0
        return previous and self.method.ascent is not None and not self._may_be_skipped

    @property
    def _may_be_skipped(self) -> bool:
        """Whether the base optimizer's step is left out where a gradient overflowed."""
        return self.scaler is not None and self.scaler.is_enabled()

    @property
    def _keeps_gradients_to_itself(self) -> bool:
        """Whether the gradients of the present pass are this process's own: those that it alone ascends by."""
        return self.sync == "local" and self.method.ascent is not None and not self._perturbed

    def _forget_derived_weights(self) -> None:
        """What was made of weights that have moved since: autocast's half-precision copies, FSDP's gathered ones."""
        torch.clear_autocast_cache()
        self._processes.reshard()

    def _begin(self) -> None:
        """Begin a step, if none is under way."""
        if not self._batch.begun:
            self._start()
            self._refuse_leftover_gradients()
            self._batch.begun = True

    def _start(self) -> None:
        """Find the trainable parameters, and at the first step keep theta_0: as late as that, so that the model may be
        loaded, moved to its device and sharded after TRAM was made."""
        if not self._params:
            self._processes = find_processes(self.model, self.sync)
            if self.reference_logits is not None and self._processes.sharded:
                raise ValueError(
                    "reference_logits let a process leave out a forward that the others make, and every forward of a "
                    "sharded model needs all of them: leave reference_logits out, or use DistributedDataParallel"
                )
        self._processes.reshard()
        found = trainable(self.model)
        if not found:
            raise ValueError("the model has no trainable parameter")
        layout: list[object] = [(id(param), param.dtype, param.device) for param in found.values()]
        if not self._params:
            if self.method.ascent is not None or self._past_weights is not None:
                refuse_shared_memory(found)
            if self.method.ascent is not None:
                refuse_unfit(found)
            if self.method.ascent is not None or self._averages_weights:
                warn_of_rounding(found)
            self._params, self._layout = found, layout
            # Also those of frozen parameters: dropout draws random numbers there too.
            self._devices = list(dict.fromkeys(param.device for param in self.model.parameters()))
            if self._past_weights is not None and not self._reference_is_kept_as_logits:
                self._reference = copies([local(param) for param in found.values()])
        elif layout != self._layout:
            raise ValueError(
                "the trainable parameters, their dtype or their device have changed since the first step: "
                "make a new TRAM(...)"
            )
        self._weights = [local(param) for param in found.values()]

    @contextmanager
    def _refuse_other_wrapping(self) -> Iterator[None]:
        """Raise ValueError, in the first pass, unless the model is called as it was given."""
        with refuse_unknown_replica(self.model, self._processes), refuse_bypassed_replica(self._processes):
            yield

    def _refuse_leftover_gradients(self) -> None:
        leftover = [name for name, param in self._params.items() if param.grad is not None]
        if leftover:
            raise ValueError(
                f"gradients are left over from an earlier step ({leftover[0]} and {len(leftover) - 1} more): "
                "call optimizer.zero_grad() (set_to_none=True, its default) after each optimizer.step(), and freeze "
                "parameters that the optimizer does not hold; to accumulate, give backward() all micro-batches, and "
                "leave gradient_accumulation_steps of accelerate at 1"
            )

    def _refuse_outsiders(self, objective: Tensor) -> None:
        """Raise ValueError, in the first step, if a parameter that is not the model's would get both passes' gradients.

        Shards are not in the graph, but whole weights in their place.
        """
        if self._graph_is_known or self.method.ascent is None or self._processes.sharded:
            return
        ours = {id(param) for param in self._params.values()}
        for param in parameters_of(objective):
            if id(param) not in ours:
                raise ValueError(
                    f"the loss trains a parameter of shape {tuple(param.shape)} that is not in TRAM's model, and would "
                    "add up its gradients of both passes: give TRAM a module that holds all, as in "
                    "TRAM(nn.ModuleList([model, head]), method), or freeze it"
                )
        self._graph_is_known = True

    def _derived_seed(self, purpose: str) -> int:
        """A seed for this step and micro-batch: noise is a function of it, and resuming needs no generator's state."""
        key = f"{self.seed} {self.steps} {self._batch.index} {purpose}"
        if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
            key += f" {torch.distributed.get_rank()}"  # each rank has its own part of the batch, and its own noise
        return random.Random(key).getrandbits(63)


def resolve(method: str | Method) -> Method:
    """The method of that name. Raises ValueError, with the nearest, if there is none; TypeError if it is no name."""
    if isinstance(method, Method):
        return method
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]
    if not isinstance(method, str):
        raise TypeError(f"method must be a name of METHODS or a Method(...), not {method!r}")
    raise ValueError(f"no method {method!r}; the nearest is {nearest(method, METHODS)!r}, all are {', '.join(METHODS)}")


def _never_changes(method: Method) -> bool:
    """Whether the trust region's reference always gives an example the same logits."""
    return method.trust_region is not None and method.trust_region.reference == PastWeights(decay=1, dropout="off")
