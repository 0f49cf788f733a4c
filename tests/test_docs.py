"""What the pages of docs/ print is what the commands print."""

import re
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.planning import gpu_hours
from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES, runs_of

DOCS = Path(__file__).parents[1] / "docs"
PAPER_SCALE = (DOCS / "paper-scale.md").read_text(encoding="utf-8")


def test_the_suites_of_the_page_are_those_of_list() -> None:
    shown = re.search(r"<!-- suites -->\n(.*?)<!-- /suites -->", PAPER_SCALE, re.DOTALL)
    assert shown is not None
    lines = {line.strip() for line in shown[1].splitlines() if line.strip()}
    listed = CliRunner().invoke(app, ["list"]).stdout.splitlines()
    assert lines <= set(listed)
    assert {line.split()[0] for line in lines} == {name for name in SUITES if not name.startswith("mini")}


def test_disk_steps_and_longest_runs_of_the_page_are_those_of_the_rows() -> None:
    longest = {
        name: max(gpu_hours(run) for run in runs_of("paper", SUITES["paper"].full) if run.benchmark == name)
        for name in SUITES["paper"].benchmarks
    }
    disk = {name: round(BENCHMARKS[name].needs.disk_bytes / 1e9) for name in longest}
    for names, steps in (
        (("vision-cifar100", "vision-cars", "vision-flowers"), "200 epochs"),
        (("m2d2-wiki", "m2d2-s2orc"), "50,000"),
        (("m2d2-s2orc-xl",), "100,000"),
        (("xnli",), "50,000"),
    ):
        (line,) = [line for line in PAPER_SCALE.splitlines() if line.startswith(f"| `{names[0]}`")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[3] == ", ".join(str(max(1, disk[name])) for name in names)
        assert cells[4] == steps
        assert cells[5].split()[0] == str(round(max(longest[name] for name in names)))


def test_every_command_of_the_page_exists() -> None:
    commands = set(re.findall(r"python -m benchmarks (\w+)", PAPER_SCALE))
    assert {"list", "prepare", "calibrate", "run", "suite"} <= commands
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    of_others = {"--nproc-per-node", "--ntasks", "--gpus-per-task", "--output"}
    options = set(re.findall(r"(--[a-z][a-z-]+)", PAPER_SCALE)) - of_others
    helps = "".join(CliRunner().invoke(app, [command, "--help"]).stdout for command in commands)
    assert {option for option in options if option not in helps} == set()
