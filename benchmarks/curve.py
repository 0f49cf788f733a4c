"""The curve of a run, what it said at every step: a file beside its record. Nothing here imports torch."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchmarks.record import RecordError
from benchmarks.storage import curve_path

POINTS = 200
"""Steps that are read of a longer curve, evenly spaced, its first and last among them: a panel is 400 pixels wide."""

Step = dict[str, float | None]
"""A scalar by its name, and `step`; None where a scalar is not finite."""

_STEPS = TypeAdapter(list[Step])


def read_steps(record_path: Path) -> list[Step]:
    """Of the run with its record at `record_path`; none where it has no curve. Raises RecordError if it is no curve."""
    path = curve_path(record_path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise _no_curve(path, str(getattr(error, "strerror", None) or error)) from error
    count = min(len(lines), POINTS)
    places = [round(point * (len(lines) - 1) / max(1, count - 1)) for point in range(count)]
    try:
        steps = _STEPS.validate_json(f"[{','.join(lines[place] for place in places)}]")
    except ValidationError as error:
        raise _no_curve(path, error.errors()[0]["msg"]) from error
    if any(step.get("step") is None for step in steps):
        raise _no_curve(path, "a line has no step")
    return steps


def _no_curve(path: Path, why: str) -> RecordError:
    return RecordError(f"{path}: not a curve ({why}). Delete it and its record, and run it again.")
