"""Points of a surface that are done, in files beside the record to be: appended one by one, by several processes.

    seed-0/surface-plane.points-2-of-8.jsonl      one file per part, removed when the record is written

The first line tells what the points are of. A line that a kill has cut short is dropped.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import RunError
from benchmarks.probes.parts import Part

Losses = dict[str, float | None]
"""By domain, in nats; None where it is not finite."""


@dataclass(frozen=True)
class Point:
    losses: Losses
    seconds: float


@dataclass(frozen=True)
class Points:
    """Those of the record at `record`; `identity` is what they must have been made with to be taken up."""

    record: Path
    identity: str

    def done(self) -> dict[int, Point]:
        """All that any part has written, by index. Raises RunError if a file is of another surface."""
        found: dict[int, Point] = {}
        for path in files(self.record):
            found |= self._read(path)
        return found

    def append(self, part: Part, index: int, losses: Mapping[str, float], seconds: float) -> None:
        """Add a point to the part's file, whole: what another process reads is never half of it."""
        path = self.record.with_name(f"{self.record.stem}.points-{part}.jsonl")
        finite = {domain: loss if math.isfinite(loss) else None for domain, loss in losses.items()}
        lines = [{"point": index, "seconds": seconds, "losses": finite}]
        _drop_cut_line(path)
        if not path.exists() or not path.stat().st_size:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines.insert(0, {"of": self.identity})
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> dict[int, Point]:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:  # by now another process has written the record
            return {}
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        if lines and lines[0] != {"of": self.identity}:
            raise RunError(f"{path}: was begun with other settings or weights. Delete it and probe again.")
        return {line["point"]: Point(line["losses"], line["seconds"]) for line in lines[1:]}


def files(record: Path) -> list[Path]:
    return sorted(record.parent.glob(f"{record.stem}.points-*.jsonl"))


def remove(record: Path) -> None:
    """What was kept for a record that is now written; another process may be doing the same."""
    for path in files(record):
        path.unlink(missing_ok=True)


def _drop_cut_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
