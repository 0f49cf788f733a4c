"""What a model makes of its input before the head: caught by a hook, whatever the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.task import Batch, Task


@dataclass(frozen=True)
class Site:
    """Where in a model the representation is: the first input of a module, or its first output."""

    module: str
    is_output: bool = False

    def __str__(self) -> str:
        return f"{'output' if self.is_output else 'input'} of {self.module}"


def site_of(task: Task, batch: Batch) -> Site:
    """The output of a transformers model's base; the input of timm's classifier, else of the last linear layer called.

    Raises ValueError where none is found.
    """
    model = cast(Any, task.model)
    base = getattr(model, "base_model", None)
    if isinstance(base, nn.Module) and base is not model:
        return Site(_name_in(model, base), is_output=True)
    classifier = model.get_classifier() if hasattr(model, "get_classifier") else None
    if isinstance(classifier, nn.Linear):
        return Site(_name_in(model, classifier))
    called: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            task.forward(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    if not called:
        raise ValueError(f"{type(model).__name__} calls no linear layer: name the module whose input to compare")
    return Site(called[-1])


def _name_in(model: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is wanted)


@torch.no_grad()
def representation(task: Task, model: nn.Module, site: Site, batch: Batch) -> Tensor:
    """(rows, features): a row per example, or per predicted token of a language model.

    Of a sequence that is classified as a whole the first token's features are taken: what the head reads.
    """
    with _caught(model.get_submodule(site.module), site.is_output) as caught:
        _, logits, *mask = task.forward(model, batch)
    features = caught[-1]
    predicts = logits.shape[:-1]
    if features.shape[:-1] == predicts:
        return features[mask[0]] if mask else features.flatten(0, -2)
    if features.dim() == 3 and len(predicts) == 1:
        return features[:, 0]
    shapes = f"features of shape {tuple(features.shape)} for predictions of shape {tuple(predicts)}"
    raise ValueError(f"{site}: {shapes}; name another module")


@contextmanager
def _caught(module: nn.Module, is_output: bool) -> Iterator[list[Tensor]]:
    """What goes into the module, or comes out, while the context lasts."""
    found: list[Tensor] = []

    def catch(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        value = output if is_output else inputs
        found.append(value if isinstance(value, Tensor) else value[0])

    handle = module.register_forward_hook(catch)
    try:
        yield found
    finally:
        handle.remove()
