"""Noise z on the output of one module of the model, a function of a seed of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tram.references import NoisyInput


def find_input_module(model: nn.Module) -> nn.Module:
    """The module whose output noise is added to: token embeddings (transformers) or patch embeddings (timm).

    Of an encoder-decoder these are the encoder's own, for the model's may only lend their weight. Raises ValueError
    where there is none, naming the way to name it.
    """
    inner = model
    while isinstance(wrapped := getattr(inner, "module", None), nn.Module):  # DistributedDataParallel and its kin
        inner = wrapped
    if getattr(getattr(inner, "config", None), "is_encoder_decoder", False):
        inner = inner.get_encoder()  # type: ignore[operator]
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


_STRIDE = 0x9E3779B97F4A7C15  # odd: no two of 2**63 calls share a seed


@torch.library.custom_op("tram::noise", mutates_args=())
def _standard_noise(like: Tensor, seed: Tensor, call: int, uniform: bool) -> Tensor:
    """Standard normal, or uniform over (-1, 1), in the shape of `like`: a function of seed and call alone.

    One operator, whose inside torch.compile does not look into: there a generator would break the graph.
    """
    generator = torch.Generator(like.device).manual_seed((int(seed) + call * _STRIDE) % 2**63)
    draw = torch.rand if uniform else torch.randn
    z = draw(like.shape, generator=generator, device=like.device, dtype=like.dtype)
    return 2 * z - 1 if uniform else z


@_standard_noise.register_fake
def _(like: Tensor, seed: Tensor, call: int, uniform: bool) -> Tensor:
    return torch.empty(like.shape, device=like.device, dtype=like.dtype)


class InputNoise:
    """Adds z to the output of `module` while `added` is active; z is a function of the seed alone, call by call.

    Meanwhile the module is of another class. torch.compile looks at the classes of modules before it runs code that it
    compiled earlier, and by default not at their hooks.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._noisy_classes: dict[type[nn.Module], type[nn.Module]] = {}
        self._to_differentiate = False
        self._watch: Any = None
        self._noise = NoisyInput()
        self._seed = torch.zeros((), dtype=torch.int64)
        self._calls = 0

    @contextmanager
    def added(self, noise: NoisyInput, seed: int) -> Iterator[None]:
        self._unwatch()
        self._to_differentiate |= torch.is_grad_enabled()
        # A new tensor each time: the one before may be an input of a compiled graph whose backward is still to come.
        self._noise, self._seed, self._calls = noise, torch.tensor(seed), 0
        plain = type(self._module)
        if plain not in self._noisy_classes:
            self._noisy_classes[plain] = _noisy(plain, self)
        self._module.__class__ = self._noisy_classes[plain]
        try:
            yield
        finally:
            self._module.__class__ = plain
        if self._calls == 0:
            raise RuntimeError(
                f"the input module {plain.__name__} did not run in the forward pass, so that no noise was added: "
                "name the module that sees the input with input_module="
            )
        if self._to_differentiate:
            self._watch = self._module.register_forward_pre_hook(_refuse_recomputation)

    def add(self, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            raise TypeError(
                f"the input module {type(self._module).__name__} returns {type(output).__name__}, and noise needs a "
                "floating-point tensor: name another with input_module="
            )
        z = self._draw(self._noise, output.detach(), self._seed)
        self._calls += 1
        return output + z

    def _draw(self, noise: NoisyInput, output: Tensor, seed: Tensor) -> Tensor:
        z = _standard_noise(output, seed, self._calls, noise.distribution == "uniform")
        if noise.relative:
            z = z * output.float().std().to(output.dtype)
        return noise.std * z

    def differentiated(self) -> None:
        """The backward pass through noisy forwards is over, or will not come."""
        self._to_differentiate = False
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.remove()
            self._watch = None


def _noisy(plain: type[nn.Module], noise: InputNoise) -> type[nn.Module]:
    """A class whose instances add `noise` to what those of `plain` return."""

    class Noisy(plain):  # type: ignore[misc, valid-type]
        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            return noise.add(super().__call__(*args, **kwargs))

    Noisy.__name__, Noisy.__qualname__ = plain.__name__, plain.__qualname__
    return Noisy


def _refuse_recomputation(module: nn.Module, _: Any) -> None:
    """Raise RuntimeError where gradient checkpointing calls the input module again, whose noise is gone."""
    if torch._C._current_graph_task_id() != -1:
        raise RuntimeError(
            f"gradient checkpointing calls the input module {type(module).__name__} again in the backward pass, "
            "where its noise would be missing: leave the input module out of the checkpointed part, "
            "or name another with input_module="
        )
