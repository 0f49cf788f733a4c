"""The command line as a user meets it: exit codes, messages, files, and what is not imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis.__main__ import app
from tests.analysis.synthetic import write_tree

FIGURES = [
    f"mini_{name}.{suffix}"
    for name in ("overview", "domains", "correlation_mini-m2d2", "scores_mini-m2d2", "cost_mini-m2d2")
    for suffix in ("png", "pdf")
]
TABLES = [
    "cost", "mini-m2d2", "mini-vision-letters", "summary", "table_03_vision", "table_04_m2d2_s2orc",
    "table_04_m2d2_wiki", "table_07_m2d2_splits", "table_09_domain_correlation", "table_10_m2d2_gpt2xl",
    "table_11_m2d2_s2orc", "table_11_m2d2_wiki",
]  # fmt: skip
FORMATS = ("csv", "html", "md", "tex")
WRITTEN = [f"{name}.{kind}" for name in TABLES for kind in FORMATS] + ["numbers.tex"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


ONCE_MORE = """
import sys
from typer.testing import CliRunner
import analysis.__main__
results, output = sys.argv[1:]
for command in (["tables"], ["figures", "--benchmarks", "mini-m2d2"]):
    result = CliRunner().invoke(analysis.__main__.app, [*command, "--results", results, "--output", output])
    assert result.exit_code == 0, result.output
print(sorted({"torch", "transformers", "tram"} & sys.modules.keys()))
"""


def test_another_process_writes_the_same_bytes_and_leaves_torch_alone(suite: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "deep" / "er" / "ours", tmp_path / "theirs"
    done = subprocess.run(
        [sys.executable, "-c", ONCE_MORE, str(suite), str(theirs)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    assert done.stderr == ""
    assert done.stdout == "[]\n"
    tables = run("tables", "--results", suite, "--output", ours)
    figures = run("figures", "--benchmarks", "mini-m2d2", "--results", suite, "--output", ours)
    assert (tables.exit_code, figures.exit_code) == (0, 0)
    assert contents(ours) == contents(theirs)
    assert sorted(contents(ours)) == sorted(WRITTEN + FIGURES)
    assert figures.stdout.split() == [str(ours / name) for name in FIGURES]


def test_help_does_not_wait_for_pandas() -> None:
    code = "import sys, analysis.__main__; print(sorted({'pandas', 'scipy', 'matplotlib'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_tables_are_printed(suite: Path, tmp_path: Path) -> None:
    result = run("tables", "--results", suite, "--output", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "mini-m2d2: docstrings of eleven packages" in result.stdout
    assert "ZS Avg: ours agrees with the paper in 1 of 3 comparisons" in result.stdout
    assert result.stdout.rstrip().endswith(str(tmp_path / "out"))
    assert "\x1b" not in result.stdout


def test_pipes_get_plain_text_of_at_most_100_columns(suite: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "COLUMNS")}
    command = [sys.executable, "-m", "analysis", "tables", "--results", str(suite), "--output", "out"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(root), "TERM": "xterm-256color", "COLUMNS": "70"},
    )
    assert "\x1b" not in done.stdout
    assert 90 < max(map(len, done.stdout.splitlines())) <= 100


def test_bad_records_are_named_and_tables_still_written(suite: Path, tmp_path: Path) -> None:
    bad = suite / "mini-m2d2" / "SAM" / "seed-2.json"
    bad.write_text(bad.read_text()[:-50])
    result = run("tables", "--results", suite, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"left out: {bad}: not readable as JSON")
    assert sorted(contents(tmp_path / "out")) == sorted(WRITTEN)
    summary, table = ((tmp_path / "out" / name).read_text() for name in ("summary.md", "mini-m2d2.md"))
    assert "| mini-m2d2 | SAM | 2 of 5; 1 file left out |" in summary
    assert "No part of mini-m2d2: SAM seed 2 left out: not readable as JSON (" in summary
    assert "No part of it: SAM seed 2 left out: not readable as JSON (" in table
    for line in table.splitlines():
        assert ("2 of 5; 1 file left out" in line) == line.startswith("| SAM ")
    paper = (tmp_path / "out" / "table_11_m2d2_wiki.md").read_text()
    assert "| 3 of 5 |" in paper
    assert "| 2 of 5; 1 file left out |" in paper
    assert "Runs without a record: SAM seed 2 left out: not readable as JSON (" in paper


def test_a_method_whose_files_are_all_left_out_was_not_not_run(suite: Path, tmp_path: Path) -> None:
    for path in (suite / "mini-m2d2" / "SAM").iterdir():
        path.write_text("[]")
    own = suite / "mini-m2d2" / "my own" / "seed-9.json"
    own.parent.mkdir()
    own.write_text("[]")
    assert run("tables", "--results", suite, "--output", tmp_path / "out").exit_code == 1
    table, paper = ((tmp_path / "out" / name).read_text() for name in ("mini-m2d2.md", "table_11_m2d2_wiki.md"))
    (adam,) = (line for line in table.splitlines() if line.startswith("| Adam |"))
    assert adam.endswith("| 3 of 5 |"), "seed 9 is not the suite's"
    (not_run,) = (line for line in table.splitlines() if line.startswith("Not run: "))
    assert "ASAM" in not_run
    assert " SAM," not in not_run
    assert "No part of it: SAM seed 0 left out: it holds a list and no record; SAM seed 1 left out" in table
    assert "my own seed 9 left out" in table
    (sam,) = (line for line in paper.splitlines() if line.startswith("| SAM |"))
    *scores, seeds = sam.strip("| ").split(" | ")[1:]
    assert all(cell.startswith("left out") for cell in scores)
    assert seeds == "0 of 5; 3 files left out"
    assert "| my own | left out |" in paper


def test_seeds_with_the_same_numbers_are_named_everywhere_and_end_with_1(suite: Path, tmp_path: Path) -> None:
    path = suite / "mini-m2d2" / "SAM" / "seed-2.json"
    metrics = json.loads((suite / "mini-m2d2" / "SAM" / "seed-0.json").read_text())["metrics"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))
    result = run("tables", "--results", suite, "--output", tmp_path / "out")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: the same numbers to the last digit: mini-m2d2 SAM seeds 0, 2. A seed was not used")
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "| mini-m2d2 | SAM | 3 of 5 |" in summary
    assert "The same numbers to the last digit: mini-m2d2 SAM seeds 0, 2. A seed" in summary
    claims = ["claims", "--results", suite, "--output", tmp_path / "out"]
    assert run(*claims).exit_code == 1
    assert run(*claims, "--allow-bad").exit_code == 0
    for suffix in ("md", "csv"):
        assert (tmp_path / "out" / f"claims.{suffix}").exists()
    assert "The same numbers to the last digit: mini-m2d2 SAM seeds 0, 2. A seed" in (
        (tmp_path / "out" / "claims.md").read_text()
    )


def test_a_benchmark_whose_files_are_all_left_out_is_named_in_what_is_written(suite: Path, tmp_path: Path) -> None:
    for path in (suite / "mini-vision-letters").glob("*/*.json"):
        path.write_text("{")
    told = "Nothing of mini-vision-letters: all its records are left out (11 files)."
    for command, name in (("tables", "summary"), ("claims", "claims")):
        assert run(command, "--results", suite, "--output", tmp_path / "out").exit_code == 1
        assert told in (tmp_path / "out" / f"{name}.md").read_text()
    run("tables", "--results", suite, "--output", tmp_path / "out", "--benchmarks", "mini-m2d2")
    assert told not in (tmp_path / "out" / "summary.md").read_text()


@pytest.mark.parametrize(("command", "file"), [("tables", "summary.md"), ("claims", "claims.csv")])
def test_what_cannot_be_written_is_told(suite: Path, tmp_path: Path, command: str, file: str) -> None:
    (tmp_path / "out" / file).mkdir(parents=True)
    result = run(command, "--results", suite, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: cannot write to {tmp_path / 'out'}: Is a directory. Name another folder with --output.\n"
    )


@pytest.mark.parametrize("benchmark", ["mini-vision-letters", "mini-xnli"])
def test_without_a_baseline_there_is_no_overview_and_the_readme_stays(benchmark: str, tmp_path: Path) -> None:
    """Of languages the overview has the paper's verdicts, of images nothing at all."""
    suite = write_tree(tmp_path, {benchmark: ("SAM", "ASAM")}, range(2), lambda *_: 50.0)
    figures = run("figures", "--results", suite, "--output", tmp_path / "out", "--only", "overview,domains")
    assert figures.exit_code == 0
    baseline = "Adam" if benchmark == "mini-xnli" else "SGD"
    told = f"a difference needs {baseline}, and no benchmark has its baseline"
    assert f"not drawn: overview: {told}" in figures.stderr
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results -->\nold\n<!-- /results -->\n")
    result = run("readme", "--results", suite, "--readme", readme)
    assert (result.exit_code, result.stderr) == (2, f"error: {readme}: {told}\n")
    assert "old" in readme.read_text()


def test_a_bad_curve_is_none_of_the_tables_business(suite: Path, tmp_path: Path) -> None:
    (suite / "mini-m2d2" / "SAM" / "seed-2.metrics.jsonl").write_text("garbage")
    for command in ("tables", "claims"):
        result = run(command, "--results", suite, "--output", tmp_path / "out")
        assert (result.exit_code, result.stderr) == (0, "")


def test_a_method_that_is_another_in_every_record_is_named(suite: Path, tmp_path: Path) -> None:
    for path in (suite / "mini-m2d2" / "SAM").glob("seed-*.json"):
        content = json.loads(path.read_text())
        content["method_fields"]["ascent"]["radius"] = 0.5
        path.write_text(json.dumps(content))
    result = run("tables", "--results", suite, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.count("its method has ascent.radius = 0.5, and SAM has 0.05. Move or delete it") == 3
    assert "| SAM | left out" in (tmp_path / "out" / "table_11_m2d2_wiki.md").read_text()


def test_only_bad_records(suite: Path, tmp_path: Path) -> None:
    for path in suite.glob("**/*.json"):
        path.write_text("{")
    result = run("tables", "--results", suite, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.count("left out: ") == 23
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["tables", "figures"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "nowhere"], "no folder nowhere: `make reproduce` makes results."),
        (["--results", "empty"], "no records below empty. Run `make reproduce` first, or name a suite's folder."),
        (["--benchmarks", "mini-m2d"], "no benchmark 'mini-m2d'; did you mean mini-m2d2?"),
        (["--benchmarks", "mini-xnli"], "no records of mini-xnli below results/mini. Run `make reproduce` first."),
        (["--output", "file"], "cannot write to file: File exists. Name another folder with --output."),
    ],
)
def test_refusals(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").write_text("")
    result = run(command, *arguments)
    assert result.exit_code == 2
    assert result.stderr == f"error: {message}\n"
    assert result.stdout == ""
    assert not Path("build").exists()


def test_only_the_formats_that_are_asked_for(suite: Path, tmp_path: Path) -> None:
    result = run("tables", "--results", suite, "--output", tmp_path / "out", "--format", "md,csv")
    assert result.exit_code == 0
    assert sorted(contents(tmp_path / "out")) == sorted(name for name in WRITTEN if name.endswith((".md", ".csv")))
    assert result.stdout.rstrip().endswith(f"12 tables, with every domain, as md, csv: {tmp_path / 'out'}")


def test_tables_that_are_asked_for_are_shown_and_no_other(suite: Path, tmp_path: Path) -> None:
    shown = run("tables", "--results", suite, "--output", tmp_path, "--show", "table_11_m2d2_wiki,table_03_vision")
    assert shown.exit_code == 0
    titles = [line for line in shown.stdout.splitlines() if line.startswith(("Table", "mini-", "Cost"))]
    assert titles[0] == "Table 11 of the paper: mini-m2d2 beside m2d2-wiki, docstrings of eleven packages"
    assert titles[1] == "Table 3 of the paper: images"
    assert len(titles) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "markdown"], "no format 'markdown'; known are md, csv, tex, html."),
        (["--format", "htm"], "no format 'htm'; did you mean html?"),
        (["--show", "table_11_wiki"], "no table 'table_11_wiki'; did you mean table_11_m2d2_wiki?"),
    ],
)
def test_wrong_names_tell_the_nearest(suite: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("tables", "--results", suite, "--output", tmp_path / "out", *arguments)
    assert (result.exit_code, result.stderr, result.stdout) == (2, f"error: {message}\n", "")
    assert not (tmp_path / "out").exists()


def test_the_papers_own_numbers_are_results_like_any_other(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "results" / "published"
    result = run("tables", "--results", folder, "--output", tmp_path, "--benchmarks", "m2d2-wiki,m2d2-s2orc")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert {path.stem for path in tmp_path.glob("*.md")} == {
        "table_04_m2d2_wiki", "table_04_m2d2_s2orc", "table_07_m2d2_splits", "table_09_domain_correlation",
        "table_11_m2d2_wiki", "table_11_m2d2_s2orc",
    }  # fmt: skip
    assert "S2ORC: what follows from Table 11 is off from what Table 9 prints by 0.070 on Phil" in result.stdout


@pytest.mark.parametrize(("word", "near"), [("tabels", "tables"), ("figure", "figures")])
def test_unknown_command_names_the_nearest(word: str, near: str) -> None:
    result = run(word)
    assert result.exit_code == 2
    assert f"'{near}'" in result.stderr


def test_compare_of_the_same(suite: Path) -> None:
    same = run("compare", "--results", suite, "--with", suite)
    assert same.exit_code == 0
    assert same.stdout == "23 of 23 runs in both are identical in every metric.\n"


def test_compare_names_the_largest_difference(suite: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed" / "mini"
    changed.parent.mkdir()
    for path in suite.glob("**/*.json"):
        target = changed / path.relative_to(suite)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = json.loads(path.read_text())
        if target.parts[-3:-1] == ("mini-m2d2", "SAM"):
            content["metrics"]["test/perplexity/math"] *= 1 + 1e-6
        if target.parts[-3:] == ("mini-m2d2", "R3F", "seed-1.json"):
            content["metrics"]["validation/nll/math"] *= 2
        target.write_text(json.dumps(content))
    (changed / "mini-vision-letters" / "SGD" / "seed-0.json").unlink()
    result = run("compare", "--results", changed, "--with", suite)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "18 of 22 runs in both are identical in every metric; largest relative difference 0.5 "
        "(mini-m2d2 R3F seed 1, validation/nll/math).",
        "Not compared: 0 only in the first, 1 only in the second.",
    ]
