"""Table 6 from records of probes whose every number is known."""

from math import isnan, sqrt
from pathlib import Path

import pytest

from analysis.cells import Cell, Table
from analysis.paper.material import material_of
from analysis.paper.sharpness import flatness, table_06_sharpness_cka
from analysis.records import Results, load
from benchmarks.probes.record import ProbeRecord, write_probe_record
from benchmarks.registry import BENCHMARKS
from tests.analysis.synthetic import record, write_tree
from tests.analysis.synthetic_probes import probe_of, probe_record

ROW = BENCHMARKS["mini-xnli"]


def probe(method: str, seed: int, kind: str, values: dict[str, float], benchmark: str = "mini-xnli") -> ProbeRecord:
    """The probe's number in each domain, 1 where none is given."""
    domains = BENCHMARKS[benchmark].domains
    metrics = {f"test/{kind}/{domain}": values.get(domain, 1.0) for domain in domains}
    return probe_record(benchmark, method, seed, kind, metrics=metrics)


def tables(*probes: ProbeRecord) -> dict[str, Table]:
    runs = {(each.benchmark, each.method, each.seed) for each in probes} | {("mini-xnli", "Adam", 0)}
    records = tuple(record(*run, lambda *_: 50.0) for run in sorted(runs))
    made = table_06_sharpness_cka(material_of(Results("mini", records, (), probes)))
    return {table.name: table for table in made}


def cell(table: Table, method: str, column: str) -> Cell:
    (row,) = (row for row in table.rows if row[0].text == method)
    return dict(zip((head.name for head in table.columns), row, strict=True))[column]


def test_by_hand() -> None:
    """Sharpness of En is 2 and 4 and 6, that of Ar twice as much, of Bg it falls, elsewhere it is 1, 2 and 3."""
    probes = []
    for seed in range(3):
        values = dict.fromkeys(ROW.zero_shot_domains, 1.0 + seed)
        values |= {"En": 2.0 + 2 * seed, "Ar": 4.0 + 4 * seed, "Bg": 10.0 - seed}
        probes.append(probe("SAM", seed, "sharpness", values))
    train, zero_shot, correlation, _, kept = flatness(probes, ROW).spreads
    assert (train.mean, train.std) == (4.0, 2.0)
    # Means over seeds: Ar 8, Bg 9, the other twelve 2.
    mean = (8 + 9 + 12 * 2) / 14
    assert zero_shot.mean == pytest.approx(mean)
    assert zero_shot.std == pytest.approx(sqrt(((8 - mean) ** 2 + (9 - mean) ** 2 + 12 * (2 - mean) ** 2) / 13))
    # 1 in thirteen languages and -1 in Bg.
    assert correlation.mean == pytest.approx(12 / 14)
    assert correlation.std == pytest.approx(sqrt((13 * (2 / 14) ** 2 + (26 / 14) ** 2) / 13))
    assert kept.missing == "not probed"


def test_representations() -> None:
    probes = [probe("SAM", seed, "cka", {"En": 0.9, "Ar": 0.2 + 0.2 * seed, "Bg": 0.3}) for seed in (0, 1)]
    _, _, correlation, train, zero_shot = flatness(probes, ROW).spreads
    assert (train.mean, train.std) == (pytest.approx(0.9), pytest.approx(0))
    assert zero_shot.mean == pytest.approx((0.3 + 0.3 + 12) / 14)
    assert correlation.missing == "not probed"


@pytest.mark.parametrize(
    ("seeds", "values", "missing"),
    [(2, {}, "2 of 3 seeds"), (3, {}, "all seeds equal"), (3, {"Sw": float("nan")}, "a domain is missing")],
)
def test_why_there_is_no_correlation(seeds: int, values: dict[str, float], missing: str) -> None:
    probes = []
    for seed in range(seeds):
        made = probe("SAM", seed, "sharpness", {"En": 1.0 + (seed if values else 0)})
        lacking = {key: value for key, value in made.metrics.items() if key.rsplit("/")[-1] not in values}
        probes.append(made.model_copy(update={"metrics": lacking}))
    assert flatness(probes, ROW).spreads[2].missing == missing


def test_a_domain_that_one_seed_lacks_leaves_no_mean() -> None:
    probes = [probe("SAM", seed, "sharpness", {}) for seed in (0, 1)]
    lacking = {key: value for key, value in probes[0].metrics.items() if not key.endswith("/Sw")}
    probes[0] = probes[0].model_copy(update={"metrics": lacking})
    train, zero_shot, *_ = flatness(probes, ROW).spreads
    assert train.mean == 1
    assert zero_shot.missing == "a domain is missing"


def test_beside_the_paper() -> None:
    probes = [probe(method, 0, "sharpness", {"En": at}) for method, at in (("Adam", 3.0), ("SAM", 2.0), ("MESA", 2.5))]
    (table,) = tables(*probes).values()
    assert table.name == "table_06_sharpness_cka"
    own = cell(table, "SAM", "sharpness, train")
    assert (own.text, own.below, own.mark) == ("2.00", ("1.43",), "best")
    assert own.values == (2.0, None, "1.43", None, pytest.approx(0.57))
    assert cell(table, "Adam", "sharpness, train").mark == "worst"
    assert cell(table, "SAM", "sharpness, ZS").below == ("3.32 ± 0.96",)
    assert cell(table, "SAM", "sharpness, ZS").mark is None  # all equal
    assert cell(table, "SAM", "Pearson").text == "1 of 3 seeds"
    assert cell(table, "SAM", "CKA, ZS").text == "not probed"
    assert cell(table, "SAM", "seeds").values == (1, 0)
    assert cell(table, "SAM", "seeds").text == "1"


def test_probes_whose_file_is_left_out_are_not_counted_and_told(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-xnli": ("Adam", "SAM")}, range(4), lambda *_: 50.0)
    for method in ("Adam", "SAM"):
        for seed in range(4):
            for kind in ("sharpness", "cka"):
                write_probe_record(probe_of(record("mini-xnli", method, seed, lambda *_: 50.0), kind), tmp_path)
    bad = folder / "mini-xnli" / "SAM" / "seed-2" / "sharpness.json"
    bad.write_text("[]")
    (table,) = table_06_sharpness_cka(material_of(load(folder)))
    assert cell(table, "Adam", "seeds").text == "4"
    assert (cell(table, "SAM", "seeds").text, cell(table, "SAM", "seeds").values) == (
        "3 and 4; 1 file left out",
        (3, 4),
    )
    assert cell(table, "SAM", "sharpness, train").mark is None
    assert table.notes[-1] == "No part of it: SAM seed 2 sharpness left out: it holds a list and no record."


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.345, "12.35 ± 0.00"), (1.0, "1.00 ± 0.00"), (0.5, "0.500 ± 0.000"), (0.03124, "0.0312 ± 0.0000"),
     (-0.25, "-0.250 ± 0.000"), (0.0, "0.00 ± 0.00"), (3e-9, "0.000000 ± 0.000000")],
)  # fmt: skip
def test_three_digits_of_what_is_small(value: float, text: str) -> None:
    probes = [probe("SAM", seed, "sharpness", {"En": value}) for seed in (0, 1)]
    (table,) = tables(*probes).values()
    assert cell(table, "SAM", "sharpness, train").text == text


def test_fewer_seeds_are_not_ranked() -> None:
    probes = [
        probe(method, seed, "sharpness", {"En": 2.0 + len(method)}) for method in ("SAM", "Adam") for seed in (0, 1)
    ]
    (table,) = tables(*probes, probe("TRAM-x", 0, "sharpness", {"En": 0.1})).values()
    assert cell(table, "TRAM-x", "sharpness, train").mark is None
    assert cell(table, "SAM", "sharpness, train").mark == "best"


def test_other_benchmarks_have_tables_of_their_own_and_the_papers_stays() -> None:
    made = tables(probe("SAM", 0, "sharpness", {}, benchmark="mini-m2d2"))
    assert list(made) == ["table_06_sharpness_cka_mini-m2d2", "table_06_sharpness_cka"]
    assert cell(made["table_06_sharpness_cka_mini-m2d2"], "SAM", "sharpness, train").below == ()
    assert cell(made["table_06_sharpness_cka"], "TRAM-prev", "sharpness, train").text == "0.50"
    assert "Suite mini has no record of these probes beside xnli." in made["table_06_sharpness_cka"].notes


def test_other_probes_are_not_asked() -> None:
    assert isnan(flatness([], ROW).spreads[0].mean)
    made = tables(probe_record("mini-xnli", "SAM", 0, "surface-line"))
    assert cell(made["table_06_sharpness_cka"], "SAM", "sharpness, train").text == "1.43"
