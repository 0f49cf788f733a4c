"""Logits of a reference that never changes, computed once per example."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tram._checks import is_whole


class KeptLogits:
    """The logits that the weights of the first step give each example, for `TRAM(..., reference_logits=KeptLogits(n))`.

        tram = TRAM(model, "TRAM-pre", reference_logits=KeptLogits(len(dataset)))
        tram.backward(forward, {"index": indices, "x": x, "y": y})      # indices: the numbers of the batch's examples

    Filled as batches come; a batch all of whose examples have been seen needs no reference forward, and once all have
    been, the copy of the first weights is dropped. That is exact where an example always gives the same input: no
    augmentation, and logits of one shape for all examples (a classifier's).

    `batch[key]` is a tensor of whole numbers below `examples`, or a list. It must be on the CPU: which examples were
    seen is known there, and asking a device would wait for it. Logits are kept in their own dtype, on `device`, by
    default the one they are computed on. A resumed run needs `state_dict`, loaded before the estimator's.

    Each run needs a new one, for it starts from weights of its own: `keeper` is the run that filled it, and another's
    first step is refused. Only what was filled by hand, by keep(batch, logits) before any step, may serve several runs
    that start from the weights which gave those logits.
    """

    def __init__(self, examples: int, key: str = "index", device: torch.device | str | None = None) -> None:
        if not is_whole(examples) or examples < 1:
            raise ValueError(f"KeptLogits needs a whole number of examples >= 1: {examples!r}")
        self.examples = int(examples)
        self.keeper: object | None = None
        self.key = key
        self.device = device
        self._logits: Tensor | None = None
        self._seen = bytearray(self.examples)
        self._missing = self.examples

    def __call__(self, batch: Any) -> Tensor | None:
        """The kept logits of a batch, where they are kept; None unless every example of it was seen."""
        numbers = self._numbers(batch)
        if self._logits is None or not all(self._seen[number] for number in numbers):
            return None
        return self._logits[torch.tensor(numbers, device=self._logits.device)]

    def keep(self, batch: Any, logits: Tensor) -> None:
        """Keep (batch, ...) logits, one row per example of the batch."""
        numbers = self._numbers(batch)
        if len(numbers) != len(logits):
            raise ValueError(f"batch[{self.key!r}] numbers {len(numbers)} examples, and there are {len(logits)} logits")
        if self._logits is None:
            device = logits.device if self.device is None else self.device
            self._logits = torch.zeros(self.examples, *logits.shape[1:], dtype=logits.dtype, device=device)
        elif logits.shape[1:] != self._logits.shape[1:] or logits.dtype != self._logits.dtype:
            raise ValueError(
                f"logits of an example are {tuple(logits.shape[1:])} of {logits.dtype}, and earlier ones "
                f"{tuple(self._logits.shape[1:])} of {self._logits.dtype}: KeptLogits is for logits of one shape"
            )
        self._logits[torch.tensor(numbers, device=self._logits.device)] = logits.detach().to(self._logits.device)
        for number in numbers:
            self._missing -= not self._seen[number]
            self._seen[number] = 1

    @property
    def complete(self) -> bool:
        """Whether the logits of every example are kept."""
        return self._missing == 0

    def state_dict(self) -> dict[str, Any]:
        seen = torch.frombuffer(bytearray(self._seen), dtype=torch.uint8)
        logits = None if self._logits is None else self._logits.clone()
        return {"seen": seen, "logits": logits, "of_a_run": self.keeper is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. Raises ValueError for any other state."""
        if not {"seen", "logits"} <= state.keys():
            raise ValueError(f"this is no state of KeptLogits, which has seen and logits; it has {sorted(state)}")
        seen = bytearray(state["seen"].tolist())
        if len(seen) != self.examples:
            raise ValueError(f"the state is of {len(seen)} examples, and there are {self.examples}")
        logits = state["logits"]
        self._seen, self._missing = seen, seen.count(0)
        self.keeper = object() if state.get("of_a_run", False) else None
        self._logits = None if logits is None else logits.to(self.device or logits.device, copy=True)

    def _numbers(self, batch: Any) -> list[int]:
        try:
            index = batch[self.key]
        except (KeyError, IndexError, TypeError):
            raise ValueError(
                f"KeptLogits finds no batch[{self.key!r}]: let the loader number the examples, or name another key"
            ) from None
        if isinstance(index, Tensor):
            if index.device.type != "cpu":
                raise ValueError(
                    f"batch[{self.key!r}] is on {index.device}: leave it on the CPU, where it is read without waiting"
                )
            index = index.tolist()
        numbers = list(index) if isinstance(index, Iterable) else [index]
        for number in numbers:
            if not is_whole(number) or not 0 <= number < self.examples:
                raise ValueError(f"batch[{self.key!r}] has {number!r}, which numbers none of {self.examples} examples")
        return numbers
