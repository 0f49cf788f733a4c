"""What is wrong with a folder of records is named, and nothing wrong is counted."""

import json
import shutil
from pathlib import Path

import pytest

from analysis.records import ResultsError, load, metric_frame
from benchmarks.record import write_record
from tests.analysis.synthetic import record, write_tree


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    path.write_text(path.read_text()[:100])


def drop_a_domain(path: Path) -> None:
    metrics = json.loads(path.read_text())["metrics"]
    del metrics["test/accuracy/blur"]
    edit(path, metrics=metrics)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (truncate, "not readable as JSON"),
        (lambda path: edit(path, schema_version=0), "schema version 0, this code reads 2"),
        (lambda path: edit(path, seed=2), "its content is the run mini-vision-letters SAM seed 2"),
        (lambda path: edit(path, suite="other"), "of suite other"),
        (lambda path: edit(path, metrics={"test/accuracy/blur": float("nan")}), "finite number"),
        (drop_a_domain, "no test/accuracy of blur. Move or delete it, and run it again."),
    ],
)
def test_a_bad_record_is_named_and_left_out(suite: Path, damage, complaint: str) -> None:
    path = suite / "mini-vision-letters" / "SAM" / "seed-1.json"
    before = len(load(suite).records)
    damage(path)
    results = load(suite)
    (line,) = results.left_out
    assert line.startswith(f"{path}: ")
    assert complaint in line
    assert len(results.records) == before - 1
    assert not any(
        (each.method, each.seed, each.benchmark) == ("SAM", 1, "mini-vision-letters") for each in results.records
    )


def test_an_unknown_benchmark_is_left_out(suite: Path) -> None:
    known = record("mini-xnli", "SAM", 0, lambda *_: 50.0)
    write_record(known.model_copy(update={"benchmark": "mini-gone"}), suite.parent)
    (line,) = load(suite).left_out
    assert "unknown benchmark 'mini-gone'" in line


def test_missing_folder_names_a_neighbour(suite: Path) -> None:
    with pytest.raises(ResultsError, match=r"no folder .*/minni: did you mean .*/mini\?"):
        load(suite.parent / "minni")


def test_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="make reproduce"):
        load(tmp_path)


def test_two_suites_are_not_mixed(suite: Path) -> None:
    shutil.copytree(suite, suite.parent / "mini2")
    for path in (suite.parent / "mini2").glob("**/*.json"):
        edit(path, suite="mini2")
    with pytest.raises(ResultsError, match=r"holds the suites mini, mini2: name one, as --results .*/mini"):
        load(suite.parent)


@pytest.mark.parametrize("folder", [".", "../mini"])
def test_relative_folders(suite: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = len(load(suite).records)
    monkeypatch.chdir(suite)
    assert len(load(Path(folder)).records) == expected


def test_metric_frame_is_tidy(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-vision-letters": ("SGD",)}, (3,), lambda method, seed, domain: len(domain))
    frame = metric_frame(load(folder).records)
    rows = frame.query("split == 'test' and metric == 'accuracy'")
    assert dict(zip(rows["domain"], rows["value"], strict=True)) == {
        "letters": 7,
        "noise": 5,
        "blur": 4,
        "affine": 6,
        "occlusion": 9,
    }
    assert set(frame["seed"]) == {3}
    assert len(frame) == 5 + 5 + 1
