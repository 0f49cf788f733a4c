"""The benchmark of the analysis: what it makes of times, on what it measures, and that the page shows what was kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.figures import figures_of, gather
from analysis.records import load
from benchmarks.probes.record import PROBES
from tests.analysis.bench import BEGIN, COMMANDS, END, PAGE, TARGETS, Measured, Taken, block, read_kept, write_results


def measured(power: float, clock: float = 1.0) -> Measured:
    """Processors' seconds that grow with that power of the number of records; the clock does not tell."""
    taken = [Taken(name, runs, 35, clock, (runs + 35) ** power) for name in COMMANDS for runs in (500, 1500, 5000)]
    return Measured(2, 0.0, tuple(taken))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_growth_is_the_power(power: float) -> None:
    assert [measured(power).growth(name) for name in COMMANDS] == pytest.approx([power] * len(COMMANDS), abs=1e-9)


def test_what_is_slow_or_steep_is_said() -> None:
    assert measured(1.0).missed == ()
    assert measured(1.0, clock=3.0).missed == ("tables: 3.0 s, and not 3",)
    assert measured(1.2).missed == ("tables: records^1.20", "claims: records^1.20", "report: records^1.20")


def test_only_the_most_records_have_a_target() -> None:
    found = measured(0.0, clock=2.0)
    few = replace(found.taken[0], clock=100.0)
    assert replace(found, taken=(few, *found.taken[1:])).missed == ()


def test_the_page_says_what_was_kept() -> None:
    assert f"{BEGIN}{block(read_kept())}{END}" in PAGE.read_text(encoding="utf-8")
    assert min(read_kept().of(name)[-1].runs for name in TARGETS) >= 5000


def test_it_says_what_is_missed_and_what_else_the_machine_did() -> None:
    good = block(measured(1.0))
    assert good.startswith("Seconds by the clock, and of all processors together, on 2 idle cores. ")
    assert "| 5,035 | 1.0, 5035.0 | 1.0, 5035.0 | 1.0, 5035.0 |" in good
    assert good.endswith(
        "Target: tables under 3 s and report under 20 s by the clock with the most records; growth linear. Met.\n"
    )
    assert block(measured(1.0, clock=3.0)).endswith("Missed: tables: 3.0 s, and not 3.\n")


def test_beside_other_processes_the_clock_is_not_told() -> None:
    busy = block(replace(measured(1.0, clock=3.0), load=7.5))
    assert "on 2 cores that 7.5 other processes wanted too" in busy
    assert "| 5,035 | 5035.0 | 5035.0 | 5035.0 |" in busy
    assert busy.endswith("Target: growth at most linear. Met.\n")
    assert "Missed: tables: records^1.20" in block(replace(measured(1.2), load=7.5))


def test_the_tree_has_every_probe_and_every_figure(tmp_path: Path) -> None:
    folder = write_results(tmp_path, 1)
    results = load(folder)
    assert results.left_out == ()
    assert {record.probe for record in results.probes} == {*PROBES} - {"sharpness-connectivity"}
    assert None not in {drawing.source for drawing in figures_of(gather(results, folder))}
