"""The probes of one run, from the model to their records."""

import time
from pathlib import Path

from benchmarks.environment import environment, peak_memory_bytes, reset_peak_memory
from benchmarks.execution import Execution
from benchmarks.probes import points
from benchmarks.probes.parts import Part
from benchmarks.probes.probe import Probe, Work, refuse_non_finite, restored
from benchmarks.probes.record import (
    OF,
    ProbeRecord,
    check_is_of,
    fingerprint,
    probe_path,
    read_probe_record,
    write_probe_record,
)
from benchmarks.probes.table import probe_named
from benchmarks.probes.trained import Trained, finished_record, trained
from benchmarks.record import Record, RecordError, Run
from benchmarks.registry import BENCHMARKS
from benchmarks.run import described
from benchmarks.storage import check_folder
from benchmarks.task import Report


def execute(run: Run, probes: tuple[str, ...], results: Path, execution: Execution, part: Part, report: Report) -> None:
    """Make the records of `probes` on `run` that are not there yet; of surfaces, this part.

    Raises RecordError if one that is there is of another run or was made with other settings, RunError if the run's
    model cannot be had as its record found it.
    """
    of = finished_record(run, results)
    row = BENCHMARKS[run.benchmark]
    pending = [name for name in probes if not is_done(name, probe_named(name, row), of, results)]
    if not pending:
        return
    check_folder(run.path(results).parent)
    model = trained(run, results, execution, report)
    for name in pending:
        record = measured(name, probe_named(name, row), model, part, report)
        if record is not None:
            points.remove(write_probe_record(record, results))


def is_done(name: str, probe: Probe, of: Record, results: Path) -> bool:
    """Whether the record of a probe is there. Raises RecordError if it is not what would be written now."""
    path = probe_path(of.run, name, results)
    if not path.exists():
        return False
    record = read_probe_record(path)
    settings = described(probe)
    other = next((key for key, value in settings.items() if record.settings.get(key) != value), None)
    if other is not None:
        raise RecordError(
            f"{path}: its settings have {other} = {record.settings.get(other)}, and {name} has {settings[other]}. "
            "Move or delete it, and probe again."
        )
    check_is_of(record, of, path)
    points.remove(path)
    return True


def measured(name: str, probe: Probe, model: Trained, part: Part, report: Report) -> ProbeRecord | None:
    """The record of one probe, or None where other parts of it are still to be done. The model is left as it was."""
    device = next(model.task.model.parameters()).device
    path = probe_path(model.run, name, model.results)
    reset_peak_memory(device)
    started = time.perf_counter()
    with restored(model.task.model):
        found = probe.measure(model, Work(path, part, report))
    if found is None:
        return None
    refuse_non_finite(found.metrics, f"{name} of {model.run}")
    return ProbeRecord(
        suite=model.run.suite,
        benchmark=model.run.benchmark,
        method=model.run.method,
        seed=model.run.seed,
        probe=name,
        settings=described(probe) | dict(found.resolved),
        metrics=dict(found.metrics),
        surface=found.surface,
        seconds=time.perf_counter() - started if found.seconds is None else found.seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        revisions=dict(model.task.revisions)
        | {OF: fingerprint(model.record), "trained weights sha256": model.weights_digest},
        environment=environment(device),
    )
