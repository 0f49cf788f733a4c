"""What the record of a probe accepts, where it is, and what is said of a file that is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.probes.record import (
    OF,
    PROBES,
    ProbeRecord,
    Surface,
    check_is_of,
    fingerprint,
    probe_path,
    probe_record_paths,
    read_probe_record,
    read_probe_records,
    write_probe_record,
)
from benchmarks.probes.table import ON_A_LAPTOP, TABLE
from benchmarks.record import RecordError, Run, record_paths
from tests.benchmarks.probes.problems import RUN, record

ROOT = Path(__file__).parents[3]


def probed(run: Run = RUN, probe: str = "surface-random", **changes: object) -> ProbeRecord:
    fields = {
        "suite": run.suite,
        "benchmark": run.benchmark,
        "method": run.method,
        "seed": run.seed,
        "probe": probe,
        "settings": {"type": "RandomPlane", "points": 2, "nested": [1, 2]},
        "metrics": {"test/nll/home": 0.1 + 0.2},
        "surface": Surface(
            axes=((0.0, 0.5), (-1.0, 0.0, 1.0)),
            losses={"home": (1.0, 2.0, None, 0.1, 1e-9, 3.0)},
            points={"TRAM-x": (0.0, 0.0)},
        ),
        "seconds": 1.5,
        "peak_memory_bytes": 7,
        "revisions": {OF: fingerprint(record(run))},
        "environment": {"device": "cpu", "cuda": None},
    }
    return ProbeRecord.model_validate(fields | changes)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = write_probe_record(probed(), tmp_path)
    assert path == tmp_path / "tiny" / "tiny-points" / "TRAM-x" / "seed-0" / "surface-random.json"
    assert read_probe_record(path) == probed()
    assert read_probe_records(tmp_path) == ([probed()], [])


def test_a_list_of_losses_takes_one_line(tmp_path: Path) -> None:
    text = write_probe_record(probed(), tmp_path).read_text()
    assert '  "home": [1.0, 2.0, null, 0.1, 1e-09, 3.0]' not in text  # a surface is one entry deep
    assert '  "losses": {"home": [1.0, 2.0, null, 0.1, 1e-09, 3.0]},\n' in text
    assert '  "test/nll/home": 0.30000000000000004\n' in text
    assert len(text.splitlines()) < 40


def test_records_of_runs_and_of_probes_are_not_mixed_up(tmp_path: Path) -> None:
    path = write_probe_record(probed(), tmp_path)
    (tmp_path / "tiny" / "tiny-points" / "TRAM-x" / "seed-0.json").write_text("{}")
    (path.with_name("surface-random.points-1-of-2.jsonl")).write_text("{}")
    assert list(record_paths(tmp_path)) == [tmp_path / "tiny" / "tiny-points" / "TRAM-x" / "seed-0.json"]
    assert list(probe_record_paths(tmp_path)) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe": "sharpnes"}, "probe 'sharpnes' is none of sharpness, "),
        ({"metrics": {"sharpness": 1.0}}, "metric 'sharpness' is not split/metric/domain"),
        ({"metrics": {"test/nll/home": float("nan")}}, "finite"),
        ({"metrics": {}, "surface": None}, "neither metrics nor a surface"),
        ({"unknown": 1}, "Extra inputs"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probed(**change)


@pytest.mark.parametrize(
    ("axes", "losses", "points", "message"),
    [
        (((0.0, 1.0),), {"home": (1.0,)}, {}, "home has 1 losses, and the grid 2 points"),
        (((0.0, 1.0), (0.0, 1.0)), {"home": (1.0,) * 2}, {}, "home has 2 losses, and the grid 4 points"),
        ((), {}, {}, "one or two axes"),
        (((0.0,),) * 3, {"home": (1.0,)}, {}, "one or two axes"),
        (((0.0,), ()), {"home": ()}, {}, "one or two axes"),
        (((0.0,),), {"home": (1.0,)}, {"theta_0": (0.0, 0.0)}, "theta_0 has 2 coordinates"),
        (((0.0,),), {"home": (float("inf"),)}, {}, "finite"),
    ],
)
def test_what_is_no_surface_is_refused(axes: object, losses: object, points: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Surface.model_validate({"axes": axes, "losses": losses, "points": points})


def test_files_that_are_none_are_named_with_what_to_do(tmp_path: Path) -> None:
    good = write_probe_record(probed(), tmp_path)
    content = json.loads(good.read_text())
    broken = {
        "cka": ("{", r"cka\.json: not readable as JSON .* Delete the file and probe again\."),
        "spectrum": (
            json.dumps(content | {"schema_version": 9}),
            r"spectrum\.json: schema version 9, this code reads 1",
        ),
        "sharpness": (json.dumps(content | {"seconds": -1}), r"sharpness\.json: seconds: .* probe again\."),
        "forgetting": (json.dumps(content), r"forgetting\.json: its content is surface-random of the run tiny-points"),
    }
    for name, (text, message) in broken.items():
        path = good.with_name(f"{name}.json")
        path.write_text(text)
        with pytest.raises(RecordError, match=message):
            read_probe_record(path)
    records, errors = read_probe_records(tmp_path)
    assert records == [probed()]
    assert len(errors) == 4


def test_a_record_in_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    for place in ("other/tiny-points/TRAM-x/seed-0", "tiny/tiny-points/TRAM-x/seed-1", "tiny/tiny-points/SAM/seed-0"):
        path = tmp_path / place / "surface-random.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(write_probe_record(probed(), tmp_path / "right").read_bytes())
        with pytest.raises(RecordError, match="Move or delete it"):
            read_probe_record(path)


def test_a_probe_of_a_run_that_was_made_anew_is_found_out(tmp_path: Path) -> None:
    path = probe_path(RUN, "surface-random", tmp_path)
    check_is_of(probed(), record(), path)
    with pytest.raises(RecordError, match=r"surface-random\.json: the run was made anew since"):
        check_is_of(probed(), record(nll=1.0 + 2**-52), path)


def test_weights_are_told_apart_by_run_and_scores_and_nothing_else() -> None:
    same = record().model_copy(update={"suite": "other", "peak_memory_bytes": 5, "revisions": {"a": "b"}})
    assert fingerprint(same) == fingerprint(record())
    others = [
        record(Run("tiny", "tiny-points", "SAM", 0)),
        record(Run("tiny", "tiny-points", "TRAM-x", 1)),
        record(nll=3),
    ]
    assert len({fingerprint(other) for other in (record(), *others)}) == 4


def test_every_probe_has_its_settings() -> None:
    assert tuple(TABLE) == tuple(ON_A_LAPTOP) == PROBES


def test_reading_loads_no_torch() -> None:
    code = "import sys, benchmarks.probes.record, benchmarks.probes.selection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
