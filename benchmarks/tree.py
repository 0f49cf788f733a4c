"""A folder of records as a whole: what is valid in it, and what is wrong with the rest. Nothing here imports torch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.contradiction import contradiction, probe_contradiction
from benchmarks.probes.record import ProbeRecord, probe_record_paths, read_probe_record
from benchmarks.record import Record, RecordError, read_record, record_paths

AnyRecord = TypeVar("AnyRecord", Record, ProbeRecord)


@dataclass(frozen=True)
class Tree:
    """The valid records of runs and of probes, and a line on each file that is not one and on what to do about it."""

    records: tuple[Record, ...]
    probes: tuple[ProbeRecord, ...]
    problems: tuple[str, ...]


def read_tree(folder: Path, contradiction_of: Callable[[Record], str | None] = contradiction) -> Tree:
    """All that is below `folder`: read, held against the registry by `contradiction_of`, one record a run and probe."""
    # Records are checked against the last parts of their path, which "." and ".." hide.
    folder = folder.resolve() if folder.name in ("", "..") else folder
    problems: list[str] = []
    runs = _readable(record_paths(folder), read_record, contradiction_of, "run it again", problems)
    probes = _readable(probe_record_paths(folder), read_probe_record, probe_contradiction, "probe again", problems)
    return Tree(
        records=_one_each(runs, lambda record: record.run, problems),
        probes=_one_each(probes, lambda record: (record.run, record.probe), problems),
        problems=tuple(problems),
    )


def _readable(
    paths: Iterable[Path],
    read: Callable[[Path], AnyRecord],
    contradiction_of: Callable[[AnyRecord], str | None],
    again: str,
    problems: list[str],
) -> dict[Path, AnyRecord]:
    found = {}
    for path in paths:
        try:
            record = read(path)
        except RecordError as error:
            problems.append(str(error))
            continue
        problem = contradiction_of(record)
        if problem is None:
            found[path] = record
        else:
            problems.append(f"{path}: {problem}. Move or delete it, and {again}.")
    return found


def _one_each(
    found: Mapping[Path, AnyRecord], identity: Callable[[AnyRecord], object], problems: list[str]
) -> tuple[AnyRecord, ...]:
    """The records whose identity no other has; of copies that say the same the one at the shortest path."""
    places: dict[object, list[Path]] = {}
    for path, record in found.items():
        places.setdefault(identity(record), []).append(path)
    kept = []
    for paths in places.values():
        first, *others = sorted(paths, key=lambda path: (len(path.parts), path))
        if all(found[other] == found[first] for other in others):
            kept.append(found[first])
            problems += [f"{other}: a copy of {first}. Delete it." for other in others]
        else:
            problems += [
                f"{path}: the run of {paths[index - 1]} too, with other content. Move or delete one of them."
                for index, path in enumerate(paths)
            ]
    return tuple(kept)
