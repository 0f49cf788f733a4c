"""Arguments held against what they may be, so that a typo is answered and not obeyed."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, get_args


def nearest(value: str, options: Iterable[str]) -> str:
    """The option most like `value`, whatever its case and whether it has hyphens or underscores."""
    folded = {option.casefold().replace("_", "-"): option for option in options}
    return folded[difflib.get_close_matches(value.casefold().replace("_", "-"), folded, n=1, cutoff=0.0)[0]]


def one_of(owner: str, name: str, value: Any, literal: Any) -> None:
    """Raise ValueError, with the nearest option, unless `value` is one of those of a `Literal` type."""
    options = get_args(literal)
    if value not in options:
        raise ValueError(
            f"{owner} has no {name}={value!r}; the nearest is {nearest(str(value), options)!r}, all are {options}"
        )


def instance_of(owner: str, name: str, value: Any, union: Any) -> None:
    """Raise ValueError unless `value` is an instance of one of the classes of `union`."""
    if not isinstance(value, union):
        kinds = ", ".join(kind.__name__ for kind in get_args(union))
        raise ValueError(f"{owner} needs {name} to be one of {kinds}, made with its (), and not {value!r}")


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number, of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether `value` is a whole number, of Python or NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def as_floats(row: Any, *names: str) -> None:
    """Make these fields of a frozen dataclass floats where they are numbers.

    Their repr is held against that of a resumed run, and 1, 1.0 and np.float64(1) are one number.
    """
    for name in names:
        if is_number(getattr(row, name)):
            object.__setattr__(row, name, float(getattr(row, name)))
