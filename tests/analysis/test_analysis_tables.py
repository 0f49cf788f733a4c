"""Tables of a small suite against files that were checked by eye and by hand, and the rules of marks and gaps."""

import csv
import io
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from analysis.aggregate import aggregate
from analysis.cells import NOTHING, Cell, Column, Table, two_decimals
from analysis.cost import cost_table
from analysis.paper.registry import TABLES
from analysis.records import Results, load
from analysis.render import comma_separated, macros, markdown, print_table
from analysis.render.latex import macro_name
from analysis.tables import all_tables, benchmark_table, overview_table, summary_table
from benchmarks.record import Seconds
from benchmarks.registry import BENCHMARKS, methods_of
from benchmarks.suites import SUITES
from tests.analysis.synthetic import record, write_tree

MINI = SUITES["mini"].benchmarks

GOLDEN = Path(__file__).parent / "golden"


def cells(table: Table, method: str) -> dict[str, Cell]:
    """The row of `method` in the table's last section, by heading."""
    row = next(row for row in table.sections[-1] if method in (row[0].text, row[1].text))
    return {column.name: cell for column, cell in zip(table.columns, row, strict=True)}


@pytest.mark.parametrize("name", ["mini-vision-letters", "mini-m2d2", "summary", "cost"])
def test_golden(suite: Path, name: str) -> None:
    """To renew after a wanted change: `python -m analysis tables` on the suite of conftest.py, then read the files."""
    results = load(suite)
    table = next(table for table in all_tables(results, aggregate(results)) if table.name == name)
    assert markdown(table) == (GOLDEN / f"{name}.md").read_text(encoding="utf-8")
    assert comma_separated(table) == (GOLDEN / f"{name}.csv").read_text(encoding="utf-8")


def test_missing_seeds_and_methods_are_explained(suite: Path) -> None:
    letters = aggregate(load(suite))[0]
    for table in (benchmark_table(letters), overview_table(letters)):
        assert cells(table, "TRAM-x")["seeds"].text == "2 of 5"
        assert [row[0].text for row in table.sections[0]] == ["SGD", "SAM", "R3F", "TRAM-x"]
        not_run, unranked = table.notes
        assert not_run.startswith("Not run: ASAM, FSAM, TRPO, MESA, ")
        assert unranked == "Not ranked, for lack of seeds: TRAM-x."


def test_benchmarks_that_lack_the_same_methods_share_a_note(suite: Path) -> None:
    note = summary_table(aggregate(load(suite))).notes[0]
    assert note.startswith("Not run on mini-vision-letters, mini-m2d2: ASAM, FSAM, ")


def test_best_and_worst_are_of_the_complete_and_follow_the_metric(suite: Path) -> None:
    letters, m2d2 = (benchmark_table(result) for result in aggregate(load(suite)))
    assert cells(letters, "SAM")["blur"].mark == "best"
    # TRAM-x has the lowest mean, from fewer seeds: the tie of the complete is marked instead.
    assert cells(letters, "TRAM-x")["blur"].mark is None
    assert cells(letters, "SGD")["blur"].mark == cells(letters, "R3F")["blur"].mark == "worst"
    assert cells(m2d2, "SAM")["fonts"].mark == "worst"
    assert cells(m2d2, "TRAM-x")["fonts"].mark == "best"


def test_a_method_that_lacks_seeds_does_not_tie_with_the_best(tmp_path: Path) -> None:
    write_tree(tmp_path, {"mini-xnli": ("Adam", "SAM")}, (0, 1), lambda method, *_: 50.0 + len(method))
    (result,) = aggregate(load(write_tree(tmp_path, {"mini-xnli": ("R3F+",)}, (0,), lambda *_: 54.0)))
    marks = {row[0].text: row[1].mark for row in benchmark_table(result).sections[0]}
    assert marks == {"Adam": "best", "SAM": "worst", "R3F+": None}


def test_equal_methods_are_not_marked() -> None:
    runs = [record("mini-xnli", method, 0, lambda *_: 50.0) for method in ("Adam", "SAM")]
    (result,) = aggregate(Results("mini", tuple(runs), ()))
    assert "**" not in markdown(benchmark_table(result))


def test_no_baseline_is_said(tmp_path: Path) -> None:
    (result,) = aggregate(load(write_tree(tmp_path, {"mini-xnli": ("SAM",)}, (0,), lambda *_: 50.0)))
    assert cells(benchmark_table(result), "SAM")["ZS Avg difference"].text == "no Adam run"
    write_tree(tmp_path, {"mini-xnli": ("Adam",)}, (1,), lambda *_: 50.0)
    (unpaired,) = aggregate(load(tmp_path / "mini"))
    assert cells(benchmark_table(unpaired), "SAM")["ZS Avg difference"].text == "no seed in common"
    summary = cells(summary_table([result]), "SAM")
    assert summary["ZS Avg: ours"].text == "no pair"
    assert summary["ZS Avg: agreement"].text == "-"


def test_fewer_pairs_than_seeds_are_said(tmp_path: Path) -> None:
    write_tree(tmp_path, {"mini-xnli": ("Adam",)}, (0,), lambda *_: 50.0)
    (result,) = aggregate(load(write_tree(tmp_path, {"mini-xnli": ("SAM",)}, (0, 1), lambda *_: 51.0)))
    cell = cells(benchmark_table(result), "SAM")["ZS Avg difference"]
    assert cell.text == "+1.00 (1 pair)"
    assert cell.values == (1.0, None, 1, None)


def test_time_is_to_the_baselines_of_the_same_benchmark_and_seed(tmp_path: Path) -> None:
    """The baseline trains 10, 11 and 12 seconds, SAM 20, 21 and 40: ratios of 2, 21/11 and 40/12, in the middle 2."""
    runs = [record("mini-xnli", "Adam", seed, lambda *_: 50.0) for seed in range(3)]
    slow = Seconds(prepare=1.0, train=40.0, evaluate=1.0)
    runs += [record("mini-xnli", "SAM", 2, lambda *_: 50.0, seconds=slow, peak_memory_bytes=5 * 2**30)]
    runs += [record("mini-xnli", "SAM", seed, lambda *_: 50.0) for seed in range(2)]
    runs += [record("mini-m2d2", "SAM", 0, lambda *_: 50.0)]
    alone, (_, sam) = cost_table(runs, aggregate(Results("mini", tuple(runs), ()))).sections
    assert (sam[3].text, sam[3].values) == ("2.00", (2.0, 21.0))
    assert sam[4].text == "300"
    assert (alone[0][3].text, alone[0][3].values) == ("-", (None, 20.0))


def test_the_numbers_of_the_cost_table_are_said_as_it_says_them(suite: Path) -> None:
    results = load(suite)
    table = cost_table(results.records, aggregate(results))
    defined = dict(re.findall(r"\\newcommand\{\\(\w+)\}\{(.*)\}", macros([table])))
    for row in table.rows:
        for column, cell in zip(table.columns[3:], row[3:], strict=True):
            names = {macro_name("cost", row[0].text, row[1].text, value) for value in column.values}
            if cell.text != NOTHING:
                assert cell.text in {defined[name] for name in names}
    assert defined[macro_name("cost", "mini-m2d2", "TRAM-x", "d median")] == "0.02"
    assert defined[macro_name("cost", "mini-m2d2", "TRAM-x", "d last")] == "1e-05"
    small = replace(table.rows[-1][5], text="0.0052", values=(0.0052,))
    one = replace(table, sections=(((*table.rows[-1][:5], small, *table.rows[-1][6:]),),))
    assert "{0.0052}" in macros([one])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.00"),
        (0.005, "+0.01"),
        (1.234, "+1.23"),
        (-0.0049, "-0.005"),
        (3e-6, "+3e-06"),
        (-21.6, "-21.60"),
        (3e-15, "0.00"),
    ],
)
def test_small_numbers_do_not_read_as_zero(number: float, text: str) -> None:
    assert two_decimals(number, "+") == text


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2, 3, 4)])
def test_terminal_tables_fit_and_are_plain(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    """Every method of every benchmark, with the widest numbers that are likely."""

    def score(method: str, seed: int, domain: str) -> float:
        return 100 + 10 * seed + (hash_free(method) * 40 + seed if method != "TRPO" else 0)

    methods = {name: methods_of(BENCHMARKS[name]) for name in MINI}
    results = load(write_tree(tmp_path, methods, seeds, score))
    console = Console(file=io.StringIO(), width=100, highlight=False)
    aggregated = aggregate(results)
    for table in (*map(overview_table, aggregated), cost_table(results.records, aggregated)):
        print_table(table, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    # Nothing was cut or folded: a row starts with its method or, in the cost table, follows its benchmark.
    assert "…" not in text
    for name in methods["mini-m2d2"]:
        assert sum(line.lstrip().split("  ")[0].strip() == name for line in text.splitlines()) >= len(MINI) - 3


def hash_free(name: str) -> float:
    """A number in [0, 1) that is the same in every process."""
    return sum(map(ord, name)) % 97 / 97


def test_csv_quotes_and_leaves_gaps_empty() -> None:
    columns = (Column("name", ("name",)), Column("x ± y", ("x", "y")))
    table = Table("t", "T", "c", columns, (((Cell("a, b", ("a, b",)), Cell("1", (1 / 3, None))),),))
    assert list(csv.reader(io.StringIO(comma_separated(table)))) == [["name", "x", "y"], ["a, b", "0.333333333", ""]]


def test_four_hundred_records_take_less_than_two_seconds(tmp_path: Path) -> None:
    methods = {name: methods_of(BENCHMARKS[name]) for name in MINI}
    folder = write_tree(tmp_path, methods, range(5), lambda method, seed, _: 50 + hash_free(method) + seed)
    start = time.process_time()
    results = load(folder)
    written = [markdown(table) + comma_separated(table) for table in all_tables(results, aggregate(results))]
    assert time.process_time() - start < 2
    assert len(results.records) == 400
    assert len(written) == len(MINI) + 2 + len(TABLES)
