"""What the caller's own functions are given and have to return."""

from collections import UserDict
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

Forward = Callable[[Any], tuple[Any, ...]]
"""forward(batch) -> (loss, logits) or (loss, logits, mask).

loss: a scalar tensor, the mean over the batch; logits: (batch, [tokens,] classes), which trust regions compare;
mask: (batch, [tokens]), False or 0 where a prediction does not count in d."""

ReferenceLogits = Callable[[Any], Tensor | None]
"""reference_logits(batch) -> the reference's logits of that batch, or None where they have to be computed.

If it has a method keep(batch, logits), it is handed those that were; where it has an attribute `complete` that is true,
it never gives None again. An attribute `keeper` that it has is None until then, and then names the run that keep() was
called for: another's first step refuses it, whose reference may be another."""


def outputs_of(forward: Forward, batch: Any, is_called_again: bool) -> tuple[Tensor, Any, Tensor | None]:
    """Loss, logits and mask of forward(batch), the last None where there is none.

    Raises TypeError if it returned others; and ValueError if it changed a batch that it is called with again, or if it
    is called for a gradient and its loss has none.
    """
    before = dict(_entries(batch)) if is_called_again else {}
    outputs = forward(batch)
    if is_called_again:
        _refuse_changes(before, dict(_entries(batch)))
    if not isinstance(outputs, tuple) or len(outputs) not in (2, 3) or not isinstance(outputs[0], Tensor):
        raise TypeError(
            f"forward(batch) must return (loss, logits) or (loss, logits, mask), not {type(outputs).__name__}"
        )
    loss = outputs[0]
    if loss.dim() != 0:
        raise TypeError(f"the first that forward(batch) returns must be a scalar loss, not {tuple(loss.shape)}")
    return loss, outputs[1], outputs[2] if len(outputs) == 3 else None


def refuse_detached(loss: Tensor) -> None:
    """Raise ValueError if nothing would get a gradient of `loss`."""
    if not loss.requires_grad:
        raise ValueError(
            "the loss that forward(batch) returned has no gradient: return it as the model gave it, without detach(), "
            "item() or a tensor made anew, and make the step outside of torch.no_grad() and torch.inference_mode()"
        )


_Entry = tuple[Any, int | None]


def _entries(part: Any, name: str = "batch") -> Iterator[tuple[str, _Entry]]:
    """The tensors in dictionaries, lists and tuples, and the keys of all else, by name; with the versions of tensors,
    which every change in place counts up."""
    if isinstance(part, dict | UserDict):
        for key, value in part.items():
            yield from _entries(value, f"{name}[{key!r}]")
    elif isinstance(part, list | tuple):
        for index, value in enumerate(part):
            yield from _entries(value, f"{name}[{index}]")
    elif isinstance(part, Tensor):
        yield name, (part, None if part.is_inference() else part._version)
    else:
        yield name, (None, None)


def _refuse_changes(before: dict[str, _Entry], after: dict[str, _Entry]) -> None:
    for name in [*before, *after]:
        if name not in after:
            change = "took it out"
        elif name not in before:
            change = "put it in"
        elif _is_another(*before[name], *after[name]):
            change = "changed it"
        else:
            continue
        raise ValueError(
            f"{name} is not what it was: forward(batch) {change}, and is called with the same batch again. "
            "Let it work on a copy, as dict(batch) for keys and tensor.clone() for values"
        )


def _is_another(before: Any, version: int | None, after: Any, version_after: int | None) -> bool:
    """Whether a tensor's values may be others. One that was moved to another device in its place has the same."""
    if before is after:
        return version != version_after
    return before is None or after is None or before.device == after.device
