"""A folder of records as a whole: what is valid in it, and what is wrong with the rest.

Nothing here imports torch, but where seeds of one method contradict each other: the library tells which are right.
"""

import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.contradiction import contradiction, probe_contradiction
from benchmarks.curve import read_steps
from benchmarks.probes.record import OF, ProbeRecord, fingerprint, probe_record_paths, read_probe_record
from benchmarks.record import Record, RecordError, read_record, record_paths
from benchmarks.storage import curve_path
from benchmarks.variants import is_own

AnyRecord = TypeVar("AnyRecord", Record, ProbeRecord)


@dataclass(frozen=True)
class Tree:
    """The valid records of runs and of probes, and of each file that is not one what is wrong and what to do."""

    records: tuple[Record, ...]
    probes: tuple[ProbeRecord, ...]
    wrong: Mapping[Path, str]
    alike: tuple[tuple[Path, ...], ...] = ()
    """Valid records of one method with every metric in common, to the last digit: runs of which there is but one."""
    twins: tuple[tuple[Path, ...], ...] = ()
    """For each seed those of methods that have every metric of every seed in common, and that are not the same."""
    root: Path | None = None
    """The folder of suites that most valid records of runs lie in."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """A line on each record that has the numbers of another run."""
        seeds = (
            f"{path}: every metric is that of {first.name}, to the last digit: a seed was not used, or the record is a "
            "copy. Move or delete it, and run it again."
            for first, *others in self.alike
            for path in others
        )
        methods = (
            f"{path}: every metric is that of {first.parent.name}/{first.name}, to the last digit, and so in every "
            "seed: one of the methods was run under both names, or the records are copies. Move or delete it, and run "
            "it again."
            for first, *others in self.twins
            for path in others
        )
        return (*seeds, *methods)

    @property
    def problems(self) -> tuple[str, ...]:
        """A line on each file that is no valid record."""
        return tuple(f"{path}: {problem}" for path, problem in self.wrong.items())


def read_tree(
    folder: Path, contradiction_of: Callable[[Record], str | None] = contradiction, with_curves: bool = True
) -> Tree:
    """All that is below `folder`: read, held against the registry by `contradiction_of`, one record a run and probe.

    Looking through the curves takes as long as all else: without them where none is used, none is named either.
    """
    # Records are checked against the last parts of their path, which "." and ".." hide.
    folder = folder.resolve() if folder.name in ("", "..") else folder
    wrong: dict[Path, str] = {}
    runs = _readable(record_paths(folder), read_record, contradiction_of, "run it again", wrong)
    probes = _readable(probe_record_paths(folder), read_probe_record, probe_contradiction, "probe again", wrong)
    kept = _of_one_source(_of_one_method(runs, wrong), wrong)
    records = _one_each(kept, lambda record: record.run, wrong)
    own = _of_their_runs(probes, records, wrong)
    if with_curves:
        _check_curves(runs, wrong)
    wrong.update(dict.fromkeys(_strays(folder, runs), "no record of a run has such a name. Move or delete it."))
    probed = _one_each(own, lambda record: (record.run, record.probe), wrong)
    counted = {path: record for path, record in kept.items() if path not in wrong}
    numbers = _numbers(counted)
    roots = Counter(path.parents[3] for path in counted)
    root = roots.most_common(1)[0][0] if roots else None
    return Tree(records, probed, wrong, tuple(_alike(counted, numbers)), tuple(_twins(counted, numbers)), root)


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
    """Without the seeds that go by one name and are of methods with different fields: their mean would be of none.

    Of a method of the registry those that are of another, of one's own all: nothing tells which is meant. So too of
    methods with settings where there is no torch, without which the library tells nothing.
    """
    kept = dict(found)
    for paths in _grouped(found, _name_of_method):
        first, *others = paths
        different = [path for path in others if found[path].method_fields != found[first].method_fields]
        contradiction_of = _library(found[first].method) if different else None
        for path in paths if different else ():
            if contradiction_of is None:
                other = first if path in different else different[0]
                problem = f"by its method_fields another method than {other}. Move or delete one of them."
            elif (other_method := contradiction_of(found[path])) is not None:
                problem = f"{other_method}. Move or delete it, and run it again."
            else:
                continue
            wrong[path] = problem
            del kept[path]
    return kept


def _name_of_method(record: Record) -> tuple[str, ...]:
    """What goes by one name: a method of the registry is the same on every benchmark."""
    return (record.suite, record.benchmark, record.method) if is_own(record.method) else (record.method,)


def _library(method: str) -> Callable[[Record], str | None] | None:
    """What holds the method's fields against the library's, which takes seconds to load; None where there is none."""
    if is_own(method):
        return None
    try:
        found: Callable[[Record], str | None] = pkgutil.resolve_name("benchmarks.run:contradiction_of")
    except ImportError:
        return None
    return found


def _of_one_source(found: Mapping[Path, Record], wrong: dict[Path, str]) -> dict[Path, Record]:
    """Without the runs whose data or model is not that of most runs of their benchmark; without all if none is."""
    kept = dict(found)
    for paths in _grouped(found, lambda record: (record.suite, record.benchmark)):
        counts = Counter(frozenset(found[path].revisions.items()) for path in paths)
        if len(counts) == 1:
            continue
        (most, count), (_, next_count) = counts.most_common(2)
        for path in paths:
            revisions = frozenset(found[path].revisions.items())
            if count > next_count and revisions == most:
                continue
            other = most if revisions != most else next(iter(counts.keys() - {most}))
            names = ", ".join(sorted({name for name, _ in revisions ^ other}))
            wrong[path] = (
                f"made from other data or another model than other runs of {found[path].benchmark}, by its revisions: "
                f"{names}. Move or delete it, and run it again."
            )
            del kept[path]
    return kept


Numbers = frozenset[tuple[str, float]]
"""Every metric of a record."""


def _numbers(found: Mapping[Path, Record]) -> dict[Path, Numbers]:
    """Of the records that no others have by chance.

    Accuracies of few examples may be the same by chance, a mean nll never is. What does not train has no seed.
    """
    return {
        path: frozenset(record.metrics.items())
        for path, record in found.items()
        if record.recipe["steps"] and _tells_runs_apart(record)
    }


def _alike(found: Mapping[Path, Record], numbers: Mapping[Path, Numbers]) -> Iterator[tuple[Path, ...]]:
    """The records that more seeds than one of a method have in common, by seed."""
    groups: dict[object, dict[int, Path]] = {}
    for path, own in numbers.items():
        groups.setdefault((found[path].run.parts[:-1], own), {})[found[path].seed] = path
    for by_seed in groups.values():
        if len(by_seed) > 1:
            yield tuple(by_seed[seed] for seed in sorted(by_seed))


def _twins(found: Mapping[Path, Record], numbers: Mapping[Path, Numbers]) -> Iterator[tuple[Path, ...]]:
    """The records that methods of other fields have in common, where they have all seeds in common, by seed.

    A setting may change nothing, as a maximum that is never reached: such are of one name before it.
    """
    methods: dict[tuple[str, ...], dict[int, Path]] = {}
    for path in numbers:
        methods.setdefault(found[path].run.parts[:-1], {})[found[path].seed] = path
    groups: dict[object, list[dict[int, Path]]] = {}
    for (suite, benchmark, _), by_seed in methods.items():
        own = frozenset((seed, numbers[path]) for seed, path in by_seed.items())
        groups.setdefault((suite, benchmark, own), []).append(by_seed)
    for first, *others in groups.values():
        seed = min(first)
        one = found[first[seed]]
        different = [other for other in others if _is_another(found[other[seed]], one)]
        for seed in sorted(first) if different else ():
            yield (first[seed], *(other[seed] for other in different))


def _is_another(record: Record, other: Record) -> bool:
    """Whether the methods are not the same by their fields, nor by their names without settings."""
    names = {each.method.partition("@")[0] for each in (record, other)}
    return record.method_fields != other.method_fields and len(names) > 1


def _tells_runs_apart(record: Record) -> bool:
    return any("/nll/" in key for key in record.metrics)


def _of_their_runs(
    found: Mapping[Path, ProbeRecord], records: Iterable[Record], wrong: dict[Path, str]
) -> dict[Path, ProbeRecord]:
    """Without the probes that no valid record of a run goes with, or only one of other weights."""
    probed = {probe.run for probe in found.values()}
    fingerprints = {record.run: fingerprint(record) for record in records if record.run in probed}
    kept = {}
    for path, probe in found.items():
        if probe.run not in fingerprints:
            wrong[path] = "there is no valid record of its run. Make that anew first, then move or delete this one."
        elif probe.revisions.get(OF) != fingerprints[probe.run]:
            wrong[path] = "the run was made anew since. Move or delete it, and probe again."
        else:
            kept[path] = probe
    return kept


def _check_curves(found: Iterable[Path], wrong: dict[Path, str]) -> None:
    """Name the files beside records that are no curves; the records themselves are none the worse."""
    for path in found:
        try:
            read_steps(path)
        except RecordError as error:
            wrong[curve_path(path)] = str(error).removeprefix(f"{curve_path(path)}: ")


def _strays(folder: Path, found: Iterable[Path]) -> Iterator[Path]:
    """JSON where suites with records have folders of benchmarks and methods, that nothing reads, as `Seed-5.json`."""
    for suite in sorted({path.parents[2] for path in found}):
        for depth in ("*", "*/*", "*/*/*"):
            # Most paths are of records: the cheapest question comes first.
            yield from sorted(path for path in suite.glob(depth) if _is_stray(path) and path.is_relative_to(folder))


def _is_stray(path: Path) -> bool:
    name = path.name
    if name[-5:].lower() != ".json" or (name.startswith("seed-") and name.endswith(".json")):
        return False
    return not any(part.startswith(".") for part in path.parts[-3:]) and path.is_file()


def _grouped(found: Mapping[Path, AnyRecord], key: Callable[[AnyRecord], object]) -> Iterable[list[Path]]:
    """The paths whose records have a key in common."""
    groups: dict[object, list[Path]] = {}
    for path, record in found.items():
        groups.setdefault(key(record), []).append(path)
    return groups.values()


def _one_each(
    found: Mapping[Path, AnyRecord], identity: Callable[[AnyRecord], object], wrong: dict[Path, str]
) -> tuple[AnyRecord, ...]:
    """The records whose identity no other has; of copies that say the same the one at the shortest path."""
    kept = []
    for paths in _grouped(found, identity):
        first, *others = sorted(paths, key=lambda path: (len(path.parts), path))
        if all(found[other] == found[first] for other in others):
            kept.append(found[first])
            wrong.update(dict.fromkeys(others, f"a copy of {first}. Delete it."))
        else:
            for index, path in enumerate(paths):
                wrong[path] = f"the run of {paths[index - 1]} too, with other content. Move or delete one of them."
    return tuple(kept)
