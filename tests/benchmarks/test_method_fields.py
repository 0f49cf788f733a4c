"""What readers without torch hold records against is what the library has."""

import json
import os

from benchmarks.method_fields import FILE, fields_by_method
from benchmarks.methods import resolve
from benchmarks.registry import PASSES, ZERO_SHOT
from benchmarks.run import method_fields


def test_the_file_is_what_the_library_has() -> None:
    """Once METHODS is another: `UPDATE_GOLDEN=1 pytest` of this file writes it anew; old records are then of others."""
    expected = {name: method_fields(resolve(name)) for name in (*PASSES, ZERO_SHOT)}
    if os.environ.get("UPDATE_GOLDEN"):
        FILE.write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
        fields_by_method.cache_clear()
    assert fields_by_method() == expected
    assert len(expected) == 18
