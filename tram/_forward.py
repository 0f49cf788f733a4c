"""What the caller's own functions are given and have to return."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Forward = Callable[[Any], tuple[Any, ...]]
"""forward(batch) -> (loss, logits) or (loss, logits, mask).

loss: a scalar tensor, the mean over the batch; logits: (batch, [tokens,] classes), which trust regions compare;
mask: (batch, [tokens]), False where a prediction does not count in d."""

ReferenceLogits = Callable[[Any], Tensor | None]
"""reference_logits(batch) -> the reference's logits of that batch, or None where they have to be computed.

If it has a method keep(batch, logits), it is handed those that were."""


def outputs_of(outputs: Any) -> tuple[Tensor, Any, Tensor | None]:
    """Loss, logits and mask, the last None where there is none. Raises TypeError if forward(batch) returned others."""
    if not isinstance(outputs, tuple) or len(outputs) not in (2, 3) or not isinstance(outputs[0], Tensor):
        raise TypeError(
            f"forward(batch) must return (loss, logits) or (loss, logits, mask), not {type(outputs).__name__}"
        )
    if outputs[0].dim() != 0:
        raise TypeError(f"the first that forward(batch) returns must be a scalar loss, not {tuple(outputs[0].shape)}")
    return outputs[0], outputs[1], outputs[2] if len(outputs) == 3 else None
