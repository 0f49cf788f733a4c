"""A facade in the shape of an optimizer: one object to step, for loops that want just that."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tram.estimator import TRAM
from tram.methods import Method


class TRAMOptimizer(torch.optim.Optimizer):
    """A base optimizer stepped with the gradient of a method.

        optimizer = TRAMOptimizer(model, "ASAM", torch.optim.AdamW, lr=2e-5)
        loss, logits = optimizer.step(lambda: forward(batch))

    `base_optimizer` is made over the model's trainable parameters with `options`; its parameter groups and state are
    this optimizer's own, so that learning-rate schedulers work as on any other. What it adds to `TRAM` is nothing:
    gradient accumulation, clipping and GradScaler need `TRAM.backward` and the base optimizer itself.
    """

    def __init__(
        self,
        model: nn.Module,
        method: str | Method,
        base_optimizer: type[torch.optim.Optimizer],
        *,
        input_module: nn.Module | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.tram = TRAM(model, method, input_module=input_module, seed=seed)
        self.base_optimizer = base_optimizer([p for p in model.parameters() if p.requires_grad], **options)
        super().__init__(self.base_optimizer.param_groups, self.base_optimizer.defaults)
        self._share()

    def _share(self) -> None:
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state

    def step(self, closure: Callable[[], tuple[Any, ...]] | None = None) -> Any:  # type: ignore[override]
        """One step. `closure` is a forward alone, returning (loss, logits) or (loss, logits, mask).

        Returns (loss, logits) of the first pass, at the weights before the step, detached (for TRAM-Fisher, whose first
        pass sees noise, at x + z). Gradients are cleared before and after.
        """
        if closure is None:
            raise ValueError(
                "step(closure) needs a closure that makes the forward pass and returns (loss, logits), without "
                "backward(): a sharpness-aware step evaluates it more than once"
            )
        ascent = self.tram.method.ascent
        # Of the forwards with a gradient, the one of the loss comes first, but for the Fisher information's own.
        clean = 1 if ascent is not None and ascent.fisher_gradient == "separate" else 0
        graded: list[Any] = []

        def forward(_: None) -> tuple[Any, ...]:
            outputs = closure()
            if torch.is_grad_enabled() and len(graded) <= clean:
                graded.append(outputs[1] if isinstance(outputs, tuple) and len(outputs) > 1 else None)
            return outputs

        self.zero_grad()
        loss = self.tram.backward(forward, None)
        self.base_optimizer.step()
        self.zero_grad()
        logits = graded[clean]
        return loss, logits.detach() if isinstance(logits, Tensor) else logits

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
