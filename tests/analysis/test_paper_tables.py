"""The paper's tables of scores, from records whose every number is known."""

import json
from collections.abc import Iterable
from math import sqrt
from pathlib import Path

import pytest

from analysis.aggregate import ZERO_SHOT
from analysis.cells import Cell, Table
from analysis.failures import read_failures
from analysis.paper.material import Material, material_of
from analysis.paper.registry import TABLES, paper_tables
from analysis.paper.scores import computed_average
from analysis.paper.sections import section_of
from analysis.records import PUBLISHED, Results
from analysis.sheets import published_sheets
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS, PASSES
from tests.analysis.synthetic import record

PAPER = {sheet.name: sheet for sheet in published_sheets()}
PUBLISHED_MATERIAL = material_of(Results(PUBLISHED, (), ()))


def material(suite: str, runs: Iterable[Record], **changes: object) -> Material:
    made = [run.model_copy(update={"suite": suite}) for run in runs]
    return material_of(Results(suite, tuple(made), ()), **changes)  # type: ignore[arg-type]


def table(name: str, made: Material) -> Table:
    (row,) = (row for row in TABLES if row.name == name)
    (found,) = row.make(made)
    return found


def cell(found: Table, method: str, column: str) -> Cell:
    (row,) = (row for row in found.rows if row[0].text == method)
    return dict(zip((head.name for head in found.columns), row, strict=True))[column]


def methods_of(found: Table) -> list[str]:
    return [row[0].text for row in found.rows]


def near_the_paper(offset: float, name: str = "m2d2-wiki") -> list[Record]:
    """One run of every method that the paper has, each score off the printed one by `offset`."""
    sheet = PAPER[name]
    return [
        record(name, method, 0, lambda own, _, domain: sheet.score(own, domain) + offset) for method in sheet.methods
    ]


# ----------------------------------------------------------------------------------------------------- beside the paper


def test_the_same_benchmark_stands_beside_the_paper_cell_by_cell() -> None:
    found = table("table_11_m2d2_wiki", material("paper", near_the_paper(0.25)))
    sheet = PAPER["m2d2-wiki"]
    assert methods_of(found) == ["GPT-2", *sheet.methods[1:]]
    for method in sheet.methods[1:]:
        for domain in sheet.domains:
            printed = sheet.score(method, domain)
            own = cell(found, method, domain)
            assert own.text == f"{printed + 0.25:.2f}"
            assert own.below == (f"{printed:.1f}", "+0.25")
            mean, std, seeds, published, difference = own.values
            assert (mean, std, seeds, published) == (pytest.approx(printed + 0.25), None, 1, f"{printed:.1f}")
            assert difference == pytest.approx(0.25)
    # Against Adam, an offset that all share is gone; what is left is the rounding of the printed averages.
    against = cell(found, "TRAM-prev", "ZS Avg vs Adam")
    assert against.below[0] == "-4.0"
    assert float(against.below[1]) == pytest.approx(0, abs=0.1)


def test_a_miniature_stands_beside_the_columns_that_correspond() -> None:
    runs = [
        record("mini-m2d2", method, seed, lambda _, at, __: 50.0 + at) for method in ("Adam", "SAM") for seed in (0, 1)
    ]
    found = table("table_11_m2d2_s2orc", material("mini", runs))
    below = {head.name: own.below for head, own in zip(found.columns, found.rows[1], strict=True)}
    assert found.rows[1][0].text == "SAM"
    assert below.pop("math") == ("10.5",)
    assert below.pop(ZERO_SHOT) == ("26.8",)
    assert below.pop("ZS Avg vs Adam") == ("-0.6", "+0.60")
    assert set(below.values()) == {()}


def test_languages_correspond_by_name() -> None:
    found = table("table_12_xnli", material("mini", [record("mini-xnli", "Adam", 0, lambda *_: 70.0)]))
    assert cell(found, "Adam", "Sw").below == ("64.6",)
    assert cell(found, "Adam", "En").below == ("83.9",)


def test_another_sheet_beside_the_same_table_has_a_name_of_its_own() -> None:
    runs = [record(name, "Adam", 0, lambda *_: 50.0) for name in ("mini-m2d2", "m2d2-wiki")]
    (row,) = (row for row in TABLES if row.name == "table_11_m2d2_wiki")
    names = [found.name for found in row.make(material("mine", runs))]
    assert names == ["table_11_m2d2_wiki_mini-m2d2", "table_11_m2d2_wiki"]


# ------------------------------------------------------------------------------------------------------ what is missing


def test_a_method_that_was_not_run_says_so_beside_the_papers_number() -> None:
    found = table("table_11_m2d2_wiki", material("paper", near_the_paper(0.0)[:4]))
    own = cell(found, "FSAM", "Cult")
    assert (own.text, own.below, own.values) == ("not run", ("23.0",), (None, None, 0, "23.0", None))
    assert cell(found, "FSAM", "seeds").text == "0 of 1"
    assert cell(found, "SAM", "seeds").text == "1"


def test_a_run_that_failed_says_where(tmp_path: Path) -> None:
    notes = {"FSAM/0": {"outcome": "failed", "step": 40}, "TRPO/0": {"outcome": "timed out", "step": None}}
    notes |= {"SAM/0": {"outcome": "failed", "step": 7}, "ASAM/0": {"outcome": "done"}, "MESA/x": {"outcome": "failed"}}
    for name, note in notes.items():
        path = tmp_path / ".slurm" / "runs" / "m2d2-wiki" / f"{name}.note"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(note))
    (tmp_path / ".slurm" / "runs" / "m2d2-wiki" / "TRPO" / "1.note").write_text("{")
    failures = read_failures(tmp_path)
    assert failures == {
        ("m2d2-wiki", "FSAM", 0): "failed at step 40",
        ("m2d2-wiki", "SAM", 0): "failed at step 7",
        ("m2d2-wiki", "TRPO", 0): "timed out",
    }
    found = table("table_11_m2d2_wiki", material("paper", near_the_paper(0.0)[:3], failures=failures))
    assert cell(found, "FSAM", "Soc").text == "failed at step 40"
    assert cell(found, "TRPO", "Soc").text == "timed out"
    assert cell(found, "R3F", "Soc").text == "not run"
    # SAM has a record: whatever was noted before does not count.
    assert found.notes[-1] == "Runs without a record: FSAM seed 0 failed at step 40; TRPO seed 0 timed out."


def test_fewer_seeds_than_others_are_said_and_not_ranked() -> None:
    runs = [record("xnli", method, seed, lambda *_: 70.0) for method in ("Adam", "SAM") for seed in range(4)]
    runs += [record("xnli", "ASAM", seed, lambda _, at, __: 80.0 + at) for seed in range(3)]
    runs += [record("xnli", "FSAM", seed, lambda *_: 75.0) for seed in range(4)]
    found = table("table_12_xnli", material("paper", runs))
    assert cell(found, "ASAM", "En").text == "81.00 (3)"
    assert cell(found, "ASAM", "En").mark is None
    assert cell(found, "FSAM", "En").mark == "best"
    assert cell(found, "Adam", "En").mark == cell(found, "SAM", "En").mark == "worst"
    assert cell(found, "ASAM", "seeds").text == "3 of 20"
    assert cell(found, "ASAM", "En").hint == "3 seeds, std 1.00"
    assert "(n): the mean of n seeds only, neither best nor worst: ASAM." in found.notes


def test_a_missing_domain_leaves_no_average() -> None:
    whole = record("mini-xnli", "Adam", 0, lambda *_: 50.0)
    lacking = record("mini-xnli", "Adam", 1, lambda *_: 60.0)
    metrics = {key: value for key, value in lacking.metrics.items() if key != "test/accuracy/De"}
    found = table("table_12_xnli", material("mini", [whole, lacking.model_copy(update={"metrics": metrics})]))
    assert cell(found, "Adam", "En").text == "55.00"
    assert cell(found, "Adam", "De").text == "no De"
    assert cell(found, "Adam", ZERO_SHOT).text == "no De"
    assert cell(found, "Adam", ZERO_SHOT).values == (None, None, 0, "72.9", None)


# --------------------------------------------------------------------------------------------------- sections and marks


def test_sections_are_the_papers() -> None:
    sections = {method: section_of(method) for method in ("zero-shot", *PASSES)}
    assert list(dict.fromkeys(sections.values())) == [
        "Baselines", "Sharpness-aware", "Trust region", "Combinations", "TRAM"
    ]  # fmt: skip
    assert section_of("TRAM-x@std=0.03") == "TRAM"
    assert section_of("ASAM+R3F@penalty=1") == "Combinations"
    assert section_of("mine") == "Others"


def test_methods_that_the_paper_has_not() -> None:
    methods = ("Adam", "mine", "TRAM-x@std=0.03", "TRAM-x@std=0.001")
    runs = [record("mini-m2d2", method, 0, lambda *_: 50.0) for method in methods]
    found = table("table_04_m2d2_wiki", material("of my own", runs))
    assert found.headings[-2:] == ("TRAM", "Others")
    assert [row[0].text for row in found.sections[-1]] == ["mine"]
    tram = [row[0].text for row in found.sections[-2]]
    assert tram[tram.index("TRAM-x") :][:3] == ["TRAM-x", "TRAM-x@std=0.001", "TRAM-x@std=0.03"]


def test_the_model_before_training_is_not_ranked() -> None:
    found = table("table_11_m2d2_s2orc", PUBLISHED_MATERIAL)
    assert cell(found, "GPT-2", "Art").text == "35.8"  # the lowest
    assert cell(found, "GPT-2", "Art").mark is None
    assert cell(found, "MESA", "Art").mark == "best"
    assert cell(found, "TRAM-prev", "Art").mark == "worst"


def test_significance_is_that_of_paired_differences() -> None:
    gains = {"Adam": (0.0, 0.0, 0.0), "SAM": (1.0, 1.1, 1.2), "ASAM": (3.0, -3.0, 1.0), "FSAM": (2.0,)}
    runs = [
        record("mini-m2d2", method, seed, lambda own, at, domain: 50 + 10 * at + gains[own][at])
        for method, own in gains.items()
        for seed in range(len(own))
    ]
    found = table("table_11_m2d2_wiki", material("mini", runs))
    assert cell(found, "SAM", "math").significant  # 1.1 ± 0.25; unpaired, the seeds' 10 would hide it
    assert not cell(found, "ASAM", "math").significant
    assert not cell(found, "FSAM", "math").significant  # a single pair
    assert not cell(found, "Adam", "math").significant
    half_width = 4.302652729911275 * 0.1 / sqrt(3)
    against = cell(found, "SAM", "ZS Avg vs Adam")
    assert against.text == f"+1.10 ± {half_width:.2f}"
    assert against.values == (pytest.approx(1.1), pytest.approx(half_width), 3, -0.4)
    assert against.significant
    assert cell(found, "FSAM", "ZS Avg vs Adam").text == "+2.00"
    assert cell(found, "Adam", "ZS Avg vs Adam").text == "baseline"
    assert found.notes[0].startswith("*: differs from Adam; the 95% t interval")


def test_without_the_baseline_there_is_no_difference() -> None:
    found = table("table_11_m2d2_wiki", material("mini", [record("mini-m2d2", "SAM", 0, lambda *_: 50.0)]))
    assert cell(found, "SAM", "ZS Avg vs Adam").text == "no pair"
    assert not found.has_significance


# -------------------------------------------------------------------------------------------------------- which methods


def test_main_text_and_appendix() -> None:
    appendix, main = (set(methods_of(table(name, PUBLISHED_MATERIAL))) for name in ("table_12_xnli", "table_05_xnli"))
    assert appendix - main == {"ASAM+TRPO", "ASAM+R3F", "ASAM+MESA"}
    assert methods_of(table("table_14_xnli_distance", PUBLISHED_MATERIAL)) == ["TRAM-x", "TRAM-x-MMD", "TRAM-x-L2"]


def test_an_ablation_of_the_divergence_is_table_14() -> None:
    methods = ("Adam", "TRAM-x@divergence=kl", "TRAM-x@divergence=renyi", "TRAM-prev@divergence=l2")
    runs = [record("mini-xnli", method, 0, lambda *_: 50.0) for method in methods]
    found = table("table_14_xnli_distance", material("mini-ablation-divergence", runs))
    assert set(methods[1:]) <= set(methods_of(found))
    assert "Adam" not in methods_of(found)


# -------------------------------------------------------------------------------------------------------------- Table 3


def test_images_with_intervals() -> None:
    scores = {"SGD": (90.0, 92.0, 94.0), "SAM": (91.0, 93.1, 95.2), "ASAM": (95.0,)}
    runs = [
        record("vision-cars", method, seed, lambda own, at, domain: scores[own][at] if domain == "Cars" else 0.0)
        for method, own in scores.items()
        for seed in range(len(own))
    ]
    found = table("table_03_vision", material("paper", runs))
    half_width = 4.302652729911275 * 2 / sqrt(3)
    own = cell(found, "SGD", "Cars")
    assert own.text == f"92.00 ± {half_width:.2f}"
    assert own.below == ("92.85 ± 0.31", "-0.85")
    assert own.values[:2] == (92, pytest.approx(half_width))
    assert own.mark == "worst"
    assert cell(found, "SAM", "Cars").significant  # 1.1 ± 0.25
    assert cell(found, "ASAM", "Cars").text == "95.00 (1)"
    assert cell(found, "ASAM", "Cars").mark is None
    assert cell(found, "FSAM", "Cars").text == "not run"
    # Data sets that were not run stand there as the paper has them.
    assert cell(found, "SGD", "paper: Flowers").text == "94.53 ± 0.20"


def test_images_of_several_models_have_columns_of_their_own() -> None:
    runs = [record(f"vision-cars{model}", "SGD", 0, lambda *_: 90.0) for model in ("-resnet50", "-convnext_tiny")]
    names = [head.name for head in table("table_03_vision", material("convnets", runs)).columns]
    assert names[1:3] == ["Cars, resnet50", "Cars, convnext_tiny"]


# ------------------------------------------------------------------------------------------------------------- Table 13


def test_deviations() -> None:
    runs = [record("xnli", "Adam", seed, lambda _, at, __: 70.0 + 2 * at) for seed in range(3)]
    runs.append(record("xnli", "SAM", 0, lambda *_: 70.0))
    found = table("table_13_xnli_std", material("paper", runs))
    assert cell(found, "Adam", "Sw").text == "2.00"
    assert cell(found, "Adam", "Sw").below == ("0.65", "+1.35")
    assert cell(found, "Adam", "Sw").values == (2.0, "0.65", pytest.approx(1.35))
    assert cell(found, "SAM", "Sw").text == "one seed"
    assert cell(found, "TRAM-x", "Sw").text == "not run"
    assert cell(found, "Adam", ZERO_SHOT).below == ()


# ------------------------------------------------------------------------------------------------------- Tables 7 and 8


def test_sizes_are_ours_where_a_row_fixes_them() -> None:
    found = table("table_08_xnli_splits", material("paper", [record("xnli", "Adam", 0, lambda *_: 70.0)]))
    rows = {row[0].text: row for row in found.rows}
    assert [own.text for own in rows["En"][2:]] == ["392,702", "2,490", "5,010"]
    assert [own.below for own in rows["En"][2:]] == [("393K",), ("2.5K",), ("5K",)]
    assert [own.text for own in rows["Zh"][2:]] == ["-", "2,490", "5,010"]
    assert rows["Zh"][3].below == ("-",)  # the paper prints no validation set of Chinese
    assert found.notes[-1] == "xnli: a run trains on 50,000 steps of 32 = 1,600,000 examples of En."


def test_sizes_are_the_papers_otherwise() -> None:
    found = table("table_08_xnli_splits", material("mini", [record("mini-xnli", "Adam", 0, lambda *_: 70.0)]))
    assert found.rows[0][2].text == "393K"
    assert found.notes[-1] == "mini-xnli: a run trains on 100 steps of 32 = 3,200 examples of En."
    found = table("table_07_m2d2_splits", material("paper", near_the_paper(0.0)[:2]))
    assert len(found.rows) == 22
    assert found.notes[-1] == (
        "m2d2-wiki: a run trains on 50,000 steps of 16 = 800,000 examples of 1,024 tokens of Soc."
    )


# -------------------------------------------------------------------------------------------------- the paper by itself


@pytest.mark.parametrize("name", [name for name, sheet in PAPER.items() if sheet.zero_shot_domains])
def test_printed_averages_follow_from_printed_columns(name: str) -> None:
    """Both are rounded to 0.1, so that they may be 0.1 apart."""
    sheet = PAPER[name]
    for method in sheet.methods:
        assert computed_average(sheet, method) == pytest.approx(sheet.score(method, ZERO_SHOT), abs=0.1 + 1e-9)


def test_every_published_number_is_shown_as_it_is_printed() -> None:
    """Of every table, against the file itself."""
    for row in TABLES:
        (found,) = row.make(PUBLISHED_MATERIAL)
        path = Path(__file__).parents[2] / "results" / "published" / f"{row.name}.tsv"
        if not path.exists() or row.number == 9:
            continue
        printed = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        numbers = sorted(text for line in printed for text in line[1:] if text and text[0].isdigit())
        values = [value for own in found.rows for each in own for value in each.values if isinstance(value, str)]
        shown = sorted(text for text in values if text and text[0].isdigit())
        if row.number in (7, 8):
            assert shown == numbers
        else:
            assert [float(text) for text in shown] == pytest.approx([float(text) for text in numbers]), row.name


def test_the_registry_names_every_published_table() -> None:
    names = {path.stem for path in (Path(__file__).parents[2] / "results" / "published").glob("*.tsv")}
    assert names <= {row.name for row in TABLES}
    assert len({row.name for row in TABLES}) == len(TABLES)
    for row in TABLES:
        assert row.name.startswith(f"table_{row.number:02d}_")


@pytest.mark.parametrize("row", TABLES, ids=lambda row: row.name)
def test_the_registry_says_which_settings_a_table_needs(row: object) -> None:
    """A table is made from any one of its settings, and from no other."""
    benchmarks = {"vision": "mini-vision-mnist", "m2d2": "mini-m2d2", "xnli": "mini-xnli"}
    for family, name in benchmarks.items():
        made = material("mini", [record(name, BENCHMARKS[name].recipe.base_optimizer, 0, lambda *_: 50.0)])
        if family not in row.families:  # type: ignore[attr-defined]
            assert row.make(made) == []  # type: ignore[attr-defined]
        elif row.number != 6:  # type: ignore[attr-defined]
            assert row.make(made) != []  # type: ignore[attr-defined]


def test_a_sequence_of_domains_is_not_the_papers_question() -> None:
    assert paper_tables(material("mini-domain-sequence", [])) == ()
