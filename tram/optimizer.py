"""A facade in the shape of an optimizer: one object to step, for loops that want just that."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tram._parallel import Sync
from tram.estimator import TRAM
from tram.methods import Method


class TRAMOptimizer(torch.optim.Optimizer):
    """A base optimizer stepped with the gradient of a method.

        optimizer = TRAMOptimizer(model, "ASAM", torch.optim.AdamW, lr=2e-5)
        loss, logits = optimizer.step(lambda: forward(batch))

    `base_optimizer` is made over the model's trainable parameters with `options`; its parameter groups and state are
    this optimizer's own, so that learning-rate schedulers work as on any other; clip gradients in
    `optimizer.base_optimizer.register_step_pre_hook`. What it adds to `TRAM` is nothing: gradient accumulation and
    GradScaler need `TRAM.backward` and the base optimizer itself.
    """

    def __init__(
        self,
        model: nn.Module,
        method: str | Method,
        base_optimizer: type[torch.optim.Optimizer],
        *,
        input_module: nn.Module | None = None,
        sync: Sync = "global",
        seed: int = 0,
        **options: Any,
    ) -> None:
        if "scaler" in options:
            raise TypeError(
                "TRAMOptimizer takes no scaler: make TRAM(model, method, scaler=scaler), then call tram.backward(...), "
                "scaler.step(base_optimizer) and scaler.update()"
            )
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"TRAMOptimizer takes the model, not {type(model).__name__}: TRAMOptimizer(model, method, "
                "torch.optim.SGD, lr=0.1), which finds the parameters itself"
            )
        if isinstance(base_optimizer, torch.optim.Optimizer):
            name = type(base_optimizer).__name__
            raise TypeError(
                f"base_optimizer is the class {name}, followed by its options, and not an instance: for one that is "
                "made already there are TRAM(model, method) and tram.backward(forward, batch)"
            )
        if "rho" in options and "rho" not in inspect.signature(base_optimizer).parameters:  # Adadelta has one
            raise TypeError(
                f"{base_optimizer.__name__} takes no rho, and TRAMOptimizer leaves the radius to the method: "
                f"Method(ascent=Ascent(Euclidean(), radius={options['rho']!r}))"
            )
        self.tram = TRAM(model, method, input_module=input_module, sync=sync, seed=seed)
        self.base_optimizer = base_optimizer([p for p in model.parameters() if p.requires_grad], **options)
        super().__init__(self.base_optimizer.param_groups, self.base_optimizer.defaults)
        self._share()

    def _share(self) -> None:
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state

    def step(self, closure: Callable[[], tuple[Any, ...]] | None = None) -> Any:  # type: ignore[override]
        """One step. `closure` is a forward alone, returning (loss, logits) or (loss, logits, mask).

        Returns (loss, logits) of the first pass, at the weights before the step, detached (for TRAM-Fisher, whose first
        pass sees noise, at x + z). Gradients are cleared after it. Raises ValueError if some are left over from before,
        and TypeError if the closure makes the backward pass itself.
        """
        if closure is None:
            raise ValueError(
                "step(closure) needs a closure that makes the forward pass and returns (loss, logits), without "
                "backward(): a sharpness-aware step evaluates it more than once. A loop that makes its own backward "
                "passes uses TRAM.backward and the base optimizer"
            )
        ascent = self.tram.method.ascent
        # Of the forwards with a gradient, the one of the loss comes first, but for the Fisher information's own.
        clean = 1 if ascent is not None and ascent.fisher_gradient == "separate" else 0
        graded: list[Any] = []

        def forward(_: None) -> tuple[Any, ...]:
            outputs = self._forward_alone(closure)
            if torch.is_grad_enabled() and len(graded) <= clean:
                graded.append(outputs[1] if len(outputs) > 1 else None)
            return outputs

        if self._has_gradients():
            raise ValueError(
                "gradients are left over from before step(closure), which makes every backward pass itself: leave "
                "yours out, or call zero_grad(); to accumulate, use TRAM.backward(forward, *micro_batches) and the "
                "base optimizer"
            )
        try:
            loss = self.tram.backward(forward, None)
            self.base_optimizer.step()
        finally:
            self.zero_grad()
        logits = graded[clean]
        return loss, logits.detach() if isinstance(logits, Tensor) else logits

    def _forward_alone(self, closure: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        """What `closure` returns. Raises TypeError where it does more than a forward pass, or less."""
        explained = (
            "step(closure): the closure makes the forward pass alone and returns (loss, logits) or (loss, logits, "
            "mask); zero_grad() and backward() are the optimizer's. A loop that makes its own backward passes, as "
            "Lightning's automatic optimisation and GradScaler do, uses TRAM.backward, or tram.perturbed() for pass two"
        )
        try:
            outputs = closure()
        except RuntimeError as error:
            if not torch.is_grad_enabled() and "does not require grad" in str(error):
                raise TypeError(explained) from error
            raise
        if not isinstance(outputs, tuple) or self._has_gradients():
            raise TypeError(explained)
        return outputs

    def _has_gradients(self) -> bool:
        return any(param.grad is not None for group in self.param_groups for param in group["params"])

    def __getstate__(self) -> dict[str, Any]:
        """Everything, for copies and pickles: torch.optim.Optimizer's own leaves out what it does not know."""
        return self.__dict__.copy()

    def state_dict(self) -> dict[str, Any]:
        return {**self.base_optimizer.state_dict(), "tram": self.tram.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "tram" not in state_dict:
            raise ValueError("the state is of a plain optimizer: it has no entry 'tram', without which nothing resumes")
        self.tram.load_state_dict(state_dict["tram"])
        self.base_optimizer.load_state_dict({key: value for key, value in state_dict.items() if key != "tram"})
        self._share()
