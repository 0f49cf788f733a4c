"""What a sequence of domains makes a model forget, of cases worked out by hand."""

from pathlib import Path

import pytest

from analysis.aggregate import aggregate
from analysis.forgetting import forgetting_tables
from analysis.records import load
from benchmarks.record import Record, write_record
from benchmarks.registry import BENCHMARKS
from tests.analysis.synthetic import record

NAME = "mini-m2d2-sequence"
ROW = BENCHMARKS[NAME]


def sequence_record(method: str, seed: int, lost: float, **changes: object) -> Record:
    """Every domain has 50 when it was learned; then each step of the way adds `lost`; before that it has 80."""
    learned = (ROW.train_domain, *ROW.sequence)
    stages = {}
    for now, stage in enumerate(learned):
        for at, domain in enumerate(learned):
            stages[f"after {stage}/perplexity/{domain}"] = 50.0 + lost * (now - at) if at <= now else 80.0
    end = {domain: stages[f"after {learned[-1]}/perplexity/{domain}"] for domain in learned}
    made = record(NAME, method, seed, lambda _method, _seed, domain: end[domain], suite="mini-domain-sequence")
    return made.model_copy(update={"metrics": made.metrics | stages} | changes)


def test_what_is_lost_is_the_end_minus_the_moment_of_learning(tmp_path: Path) -> None:
    for method, seed, lost in (("Adam", 0, 1.0), ("Adam", 1, 3.0), ("MESA", 0, 0.5)):
        write_record(sequence_record(method, seed, lost), tmp_path)
    loaded = load(tmp_path / "mini-domain-sequence")
    (table,) = forgetting_tables(loaded.records, aggregate(loaded))
    assert [column.name for column in table.columns] == [
        "method", "math", "science", "tensors", "mean", "transformers at the end", "seeds"
    ]  # fmt: skip
    assert [[cell.text for cell in row] for row in table.sections[0]] == [
        ["Adam", "+6.00", "+4.00", "+2.00", "+4.00", "50.00", "2"],
        ["MESA", "+1.50", "+1.00", "+0.50", "+1.00", "50.00", "1"],
    ]
    assert "More is worse" in table.caption
    assert "math → science → tensors → transformers" in table.caption


def test_a_record_without_a_stage_is_left_out_by_name(tmp_path: Path) -> None:
    whole = sequence_record("Adam", 0, 1.0)
    metrics = {key: value for key, value in whole.metrics.items() if key != "after science/perplexity/math"}
    write_record(whole.model_copy(update={"metrics": metrics}), tmp_path)
    loaded = load(tmp_path / "mini-domain-sequence")
    assert loaded.records == ()
    assert "no test/perplexity of math after science" in loaded.left_out[0]


@pytest.mark.parametrize("name", ["mini-m2d2", "m2d2-wiki"])
def test_other_benchmarks_have_no_such_table(name: str, tmp_path: Path) -> None:
    write_record(record(name, "Adam", 0, lambda *_: 1.0), tmp_path)
    loaded = load(tmp_path / "mini")
    assert forgetting_tables(loaded.records, aggregate(loaded)) == ()
