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
    """The valid records of runs and of probes, and of each file that is not one what is wrong and what to do."""

    records: tuple[Record, ...]
    probes: tuple[ProbeRecord, ...]
    wrong: Mapping[Path, str]

    @property
    def problems(self) -> tuple[str, ...]:
        """A line on each file that is no valid record."""
        return tuple(f"{path}: {problem}" for path, problem in self.wrong.items())


def read_tree(folder: Path, contradiction_of: Callable[[Record], str | None] = contradiction) -> Tree:
    """All that is below `folder`: read, held against the registry by `contradiction_of`, one record a run and probe."""
    # Records are checked against the last parts of their path, which "." and ".." hide.
    folder = folder.resolve() if folder.name in ("", "..") else folder
    wrong: dict[Path, str] = {}
    runs = _readable(record_paths(folder), read_record, contradiction_of, "run it again", wrong)
    probes = _readable(probe_record_paths(folder), read_probe_record, probe_contradiction, "probe again", wrong)
    return Tree(
        records=_one_each(_of_one_method(runs, wrong), lambda record: record.run, wrong),
        probes=_one_each(probes, lambda record: (record.run, record.probe), wrong),
        wrong=wrong,
    )


def _readable(
    paths: Iterable[Path],
    read: Callable[[Path], AnyRecord],
    contradiction_of: Callable[[AnyRecord], str | None],
    again: str,
    wrong: dict[Path, str],
) -> dict[Path, AnyRecord]:
    found = {}
    for path in paths:
        try:
            record = read(path)
        except RecordError as error:
            wrong[path] = str(error).removeprefix(f"{path}: ")
            continue
        problem = contradiction_of(record)
        if problem is None:
            found[path] = record
        else:
            wrong[path] = f"{problem}. Move or delete it, and {again}."
    return found


def _of_one_method(found: Mapping[Path, Record], wrong: dict[Path, str]) -> dict[Path, Record]:
    """Without the seeds that go by one name and are of methods with different fields: their mean would be of none."""
    by_name: dict[tuple[str, str, str], list[Path]] = {}
    for path, record in found.items():
        by_name.setdefault((record.suite, record.benchmark, record.method), []).append(path)
    kept = {}
    for paths in by_name.values():
        first, *others = paths
        different = [path for path in others if found[path].method_fields != found[first].method_fields]
        if not different:
            kept.update({path: found[path] for path in paths})
            continue
        for path in paths:
            other = first if path in different else different[0]
            wrong[path] = f"by its method_fields another method than {other}. Move or delete one of them."
    return kept


def _one_each(
    found: Mapping[Path, AnyRecord], identity: Callable[[AnyRecord], object], wrong: dict[Path, str]
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
            wrong.update(dict.fromkeys(others, f"a copy of {first}. Delete it."))
        else:
            for index, path in enumerate(paths):
                wrong[path] = f"the run of {paths[index - 1]} too, with other content. Move or delete one of them."
    return tuple(kept)
