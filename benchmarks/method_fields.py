"""The fields that a record has of every method of the library, for those who read records and load no torch."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
"""Written by a test that holds it against the library."""


@cache
def fields_by_method() -> Mapping[str, Mapping[str, Any]]:
    """By the name of the method, without settings."""
    fields: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return fields


def first_difference(left: Any, right: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first field, as `recipe.lr`, in which two nested dictionaries differ, with both values."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in dict.fromkeys((*left, *right)):
            below = first_difference(left.get(key), right.get(key), f"{name}.{key}".lstrip("."))
            if below is not None:
                return below
        return None
    return None if left == right else (name, left, right)
