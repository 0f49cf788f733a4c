"""Noise z on the output of one module of the model, drawn from generators of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tram.references import NoisyInput


def find_input_module(model: nn.Module) -> nn.Module:
    """The module whose output noise is added to: token embeddings (transformers) or patch embeddings (timm).

    Raises ValueError where there is none, naming the way to name it.
    """
    inner = model
    while isinstance(wrapped := getattr(inner, "module", None), nn.Module):  # DistributedDataParallel and its kin
        inner = wrapped
    embeddings = getattr(inner, "get_input_embeddings", None)
    found = embeddings() if callable(embeddings) else getattr(inner, "patch_embed", None)
    if isinstance(found, nn.Module):
        return found
    children = ", ".join(name for name, _ in inner.named_children()) or "none"
    raise ValueError(
        f"this method adds noise to the output of an input module, and {type(inner).__name__} has neither "
        "get_input_embeddings() nor patch_embed: name it, as in TRAM(model, method, input_module=model.embedding) "
        f"(its children: {children})"
    )


class InputNoise:
    """Adds z to the output of `module` while `added` is active; z is a function of the seed alone, call by call."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._generators: dict[torch.device, torch.Generator] = {}

    @contextmanager
    def added(self, noise: NoisyInput, seed: int) -> Iterator[None]:
        calls = 0
        for generator in self._generators.values():
            generator.manual_seed(seed)

        def add(module: nn.Module, args: Any, output: Any) -> Tensor:
            nonlocal calls
            calls += 1
            if not isinstance(output, Tensor) or not output.is_floating_point():
                raise TypeError(
                    f"the input module {type(module).__name__} returns {type(output).__name__}, and noise needs a "
                    "floating-point tensor: name another with input_module="
                )
            return output + self._draw(noise, output, seed)

        handle = self._module.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()
        if calls == 0:
            raise RuntimeError(
                f"the input module {type(self._module).__name__} did not run in the forward pass, so that no noise was "
                "added: name the module that sees the input with input_module=. A model under torch.compile needs "
                "torch._dynamo.config.skip_nnmodule_hook_guards = False before its first call"
            )

    def _draw(self, noise: NoisyInput, output: Tensor, seed: int) -> Tensor:
        device = output.device
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(seed)
        draw = torch.randn if noise.distribution == "normal" else torch.rand
        z = draw(output.shape, generator=self._generators[device], device=device, dtype=output.dtype)
        if noise.distribution == "uniform":
            z = 2 * z - 1
        if noise.relative:
            z = z * output.detach().float().std().to(output.dtype)
        return noise.std * z
