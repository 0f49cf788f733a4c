"""What is wrong with a folder of records is named, and nothing wrong is counted."""

import json
import shutil
from pathlib import Path

import pytest

from analysis.records import ResultsError, load
from benchmarks.record import write_record
from tests.analysis.synthetic import record


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


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[]", "it holds a list and no record"),
        ("3", "it holds a number and no record"),
        ("2.5", "it holds a number and no record"),
        ('"seed"', "it holds a text and no record"),
        ("null", "it holds null and no record"),
        ("true", "it holds true or false and no record"),
        ("{}", "it does not say its schema version"),
        ('{"schema_version": "2"}', "it does not say its schema version"),
        ("", "not readable as JSON (Expecting value: line 1 column 1 (char 0))"),
        ("[" * 100_000, "not readable as JSON ("),
    ],
)
def test_json_that_is_no_record_is_named_in_one_line(suite: Path, content: str, complaint: str) -> None:
    run = suite / "mini-m2d2" / "SAM" / "seed-1.json"
    probe = suite / "mini-m2d2" / "SAM" / "seed-0" / "cka.json"
    probe.parent.mkdir()
    for path in (run, probe):
        path.write_text(content)
    lines = load(suite).left_out
    assert [line.startswith(f"{path}: {complaint}") for path, line in zip((run, probe), lines, strict=True)] == [
        True
    ] * 2
    assert [line.rpartition(". ")[2] for line in lines] == [
        "Delete the file and run it again.",
        "Delete the file and probe again.",
    ]
    assert not any("\n" in line for line in lines)


def test_runs_whose_file_is_left_out_are_lost_with_the_reason(suite: Path) -> None:
    folder = suite / "mini-m2d2" / "SAM"
    (folder / "seed-1.json").write_text("[]")
    (folder / "seed-7.json").write_text("{")
    (folder / "seed-0").mkdir()
    (folder / "seed-0" / "cka.json").write_text("{")
    copy = suite / "backup" / "mini" / "mini-m2d2" / "SAM" / "seed-0.json"
    copy.parent.mkdir(parents=True)
    shutil.copy(folder / "seed-0.json", copy)
    results = load(suite)
    assert len(results.left_out) == 4
    assert results.lost == {
        ("mini-m2d2", "SAM", 1): "left out: it holds a list and no record",
        ("mini-m2d2", "SAM", 7): "left out: not readable as JSON (Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1))",
    }
    assert list(results.lost_probes) == [("mini-m2d2", "SAM", 0, "cka")]
    assert results.lost_probes["mini-m2d2", "SAM", 0, "cka"].startswith("left out: not readable as JSON (")


def test_a_stray_file_is_named(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(suite.parent)
    Path("mini/seed-0.json").write_text("[]")
    assert load(Path("mini")).left_out == (
        "mini/seed-0.json: it holds a list and no record. Delete the file and run it again.",
    )


def test_an_unknown_benchmark_is_left_out(suite: Path) -> None:
    known = record("mini-xnli", "SAM", 0, lambda *_: 50.0)
    write_record(known.model_copy(update={"benchmark": "mini-gone"}), suite.parent)
    (line,) = load(suite).left_out
    assert "unknown benchmark 'mini-gone'. Move or delete it, and run it again." in line


def test_a_similar_benchmark_is_suggested(suite: Path) -> None:
    known = record("mini-xnli", "SAM", 0, lambda *_: 50.0)
    write_record(known.model_copy(update={"benchmark": "mini-xnly"}), suite.parent)
    (line,) = load(suite).left_out
    assert "unknown benchmark 'mini-xnly'; the nearest is 'mini-xnli'. Move" in line


def test_missing_folder_names_a_neighbour(suite: Path) -> None:
    with pytest.raises(ResultsError, match=r"no folder .*/minni: did you mean .*/mini\?"):
        load(suite.parent / "minni")


def test_a_missing_folder_names_no_neighbour_that_is_not_like_it(suite: Path) -> None:
    with pytest.raises(ResultsError, match=r"no folder .*/somewhere: `make reproduce` makes results\.$"):
        load(suite.parent / "somewhere")


def test_a_file_is_not_called_a_missing_folder(suite: Path) -> None:
    path = suite / "mini-m2d2" / "SAM" / "seed-1.json"
    with pytest.raises(ResultsError, match=r"seed-1\.json is a file: name the folder of a suite's records\.$"):
        load(path)


def test_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="make reproduce"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("there", "folder", "option"),
    [
        ("", "results/mini", ""),
        ("", "results", ""),
        ("results/mini", ".", " --results {root}"),
        ("results", "mini", " --results ."),
        ("elsewhere", "../results/mini", " --results ../results"),
        ("", "results/mini/mini-m2d2", ""),
        ("", "results/mini/mini-m2d2/SAM", ""),
        ("results/mini/mini-m2d2", ".", " --results {root}"),
        ("elsewhere", "../results/mini/mini-m2d2", " --results ../results"),
    ],
)
def test_commands_name_the_folder_of_suites_where_they_would_not_find_it(
    there: str, folder: str, option: str, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (suite.parents[1] / "elsewhere").mkdir()
    monkeypatch.chdir(suite.parents[1] / there)
    assert load(Path(folder)).option == option.format(root=suite.parent)


def test_a_bad_curve_is_named_where_curves_are_used(suite: Path) -> None:
    path = suite / "mini-m2d2" / "SAM" / "seed-1.metrics.jsonl"
    path.write_text("garbage")
    (line,) = load(suite).left_out
    assert line.startswith(f"{path}: not a curve (")
    assert load(suite, with_curves=False).left_out == ()
    assert load(suite, with_curves=False).records == load(suite).records


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
