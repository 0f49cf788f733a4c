"""The report without a browser: what it counts, where it leads, and what it does with bad and with strange results."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import analysis.figures.drawing as drawing
from analysis.__main__ import app
from analysis.figures import figures_of, gather
from analysis.records import Results, load
from analysis.report import write_report
from analysis.report.content import Report
from analysis.report.runs import Group, anchor, grouped, spans
from benchmarks.record import write_record
from benchmarks.registry import BENCHMARKS, methods_of
from benchmarks.suites import SUITES
from tests.analysis.bench import curve
from tests.analysis.conftest import hand_score
from tests.analysis.synthetic import record, write_tree
from tests.analysis.synthetic_probes import probe_record

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have their own tests, and take most of the time."""
    monkeypatch.setattr(drawing, "figures_of", lambda material, _: ())


@pytest.fixture
def _one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "figures_of", lambda material, _: figures_of(material, ["overview"]))


class Outline(HTMLParser):
    """What a page says, by element: headings, the cells of each table row, and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.ids += [named["id"] or ""] if "id" in named else []
        self.links += [named["href"] or ""] if tag == "a" else []
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += text
        elif {"td", "th"} & set(self.open) and "tr" in self.open:
            self.rows[-1][-1] += text


# ---------------------------------------------------------------------------------- what was run, and what is missing


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((), ""), ((3,), "3"), ((0, 1, 2), "0-2"), ((4, 0, 1, 7, 8, 2), "0-2, 4, 7-8"), ((0, 2, 4), "0, 2, 4")],
)
def test_spans(seeds: tuple[int, ...], text: str) -> None:
    assert spans(seeds) == text


def test_anchors_are_one_word_and_one_each() -> None:
    names = [f"TRAM-x@std={std}@maximum=rise" for std in ("0.1", "1e-05")] + [
        "ASAM+TRPO",
        *methods_of(BENCHMARKS["xnli"]),
    ]
    anchors = [anchor("mini-xnli", name) for name in names]
    assert len(set(anchors)) == len(set(names))
    assert all(re.fullmatch(r"[\w.-]+", name) for name in anchors)


def group(groups: dict[str, dict[str, Group]], benchmark: str, method: str) -> tuple[str, str, tuple[int, ...]]:
    found = groups[benchmark][method]
    return found.state, found.text, found.missing


def test_what_is_missing_is_what_the_suite_has_in_full(suite: Path) -> None:
    groups = grouped(load(suite))
    assert list(groups) == list(SUITES["mini"].benchmarks)
    assert group(groups, "mini-m2d2", "TRAM-x") == ("partial", "3 of 5", (3, 4))
    assert group(groups, "mini-vision-letters", "TRAM-x") == ("partial", "2 of 5", (2, 3, 4))
    assert group(groups, "mini-vision-letters", "MESA") == ("missing", "not run", (0, 1, 2, 3, 4))
    assert "SGD" not in groups["mini-m2d2"]
    records = sum(len(one.records) for methods in groups.values() for one in methods.values())
    missing = sum(len(one.missing) for methods in groups.values() for one in methods.values())
    assert (records, records + missing) == (23, 400)


def test_a_seed_beyond_the_plan_is_counted_and_completes_nothing(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-xnli": ("Adam",)}, (0, 1, 2, 3, 9), lambda *_: 50.0)
    assert group(grouped(load(folder)), "mini-xnli", "Adam") == ("partial", "5 of 6", (4,))


def test_a_suite_of_ones_own_plans_the_seeds_that_any_method_has() -> None:
    runs = [record("mini-xnli", method, seed, hand_score, suite="mine") for method, seed in (("Adam", 0), ("SAM", 1))]
    groups = grouped(Results("mine", tuple(runs), ()))
    assert list(groups) == ["mini-xnli"]
    assert group(groups, "mini-xnli", "Adam") == ("partial", "1 of 2", (1,))
    assert group(groups, "mini-xnli", "TRPO") == ("missing", "not run", (0, 1))


def test_failures_and_probes_are_told(suite: Path) -> None:
    results = load(suite)
    probed = Results("mini", results.records, (), (probe_record("mini-m2d2", "TRAM-x", 0, "sharpness"),))
    found = grouped(probed, ["mini-m2d2"], {("mini-m2d2", "TRAM-x", 3): "failed at step 7"})
    assert list(found) == ["mini-m2d2"]
    assert found["mini-m2d2"]["TRAM-x"].hint == (
        "TRAM-x on mini-m2d2: seeds 0-2; no record of seeds 3-4; seed 3 failed at step 7; probes: sharpness"
    )


def test_files_left_out_are_no_missing_runs(suite: Path) -> None:
    (suite / "mini-m2d2" / "SAM" / "seed-2.json").write_text("[]")
    for path in (suite / "mini-m2d2" / "R3F").iterdir():
        path.write_text("[]")
    results = load(suite)
    groups = grouped(results, ["mini-m2d2"])
    assert group(groups, "mini-m2d2", "SAM") == ("partial", "2 of 5; 1 file left out", (2, 3, 4))
    assert group(groups, "mini-m2d2", "R3F") == ("missing", "3 files left out", (0, 1, 2, 3, 4))
    assert groups["mini-m2d2"]["SAM"].hint.endswith("; seed 2 left out: it holds a list and no record")
    (line,) = Report(results, groups, (), (), (), ()).gaps
    assert "; files left out: SAM (seed 2), R3F (seeds 0-2). To fill it, when they are out of the way: python" in line
    assert ", R3F" not in line.partition("; ")[0]


# ------------------------------------------------------------------------------------------------------------ the page


@pytest.mark.usefixtures("_no_figures")
def test_the_page_has_the_same_bytes_wherever_the_tree_lies(suite: Path, tmp_path: Path) -> None:
    """Also of what is left out: a curve, a copy, and two records of one run."""
    (suite / "mini-m2d2" / "SAM" / "seed-2.metrics.jsonl").write_text("garbage")
    shutil.copytree(suite / "mini-m2d2" / "SAM", suite / "old" / "mini" / "mini-m2d2" / "SAM")
    write_record(record("mini-m2d2", "R3F", 0, lambda *_: 99.0), suite / "other")
    shutil.copytree(suite, tmp_path / "elsewhere" / "mini")
    pages = [
        write_report(load(folder), folder, tmp_path / name).page.read_text()
        for name, folder in (("one", suite), ("two", tmp_path / "elsewhere" / "mini"))
    ]
    assert pages[0] == pages[1]
    assert "--benchmarks mini-m2d2 --results FOLDER" in pages[0]
    assert str(tmp_path) not in pages[0]
    assert "mini-m2d2/SAM/seed-2.metrics.jsonl: not a curve (Invalid JSON" in pages[0]
    assert "mini-m2d2/SAM/seed-0.json: a copy of mini-m2d2/SAM/seed-0.json." in pages[0]


def test_a_file_that_is_no_curve_takes_no_other_from_the_figure(suite: Path, tmp_path: Path) -> None:
    for seed, text in enumerate((curve(4), curve(4), "garbage")):
        (suite / "mini-m2d2" / "SAM" / f"seed-{seed}.metrics.jsonl").write_text(text)
    found = run("figures", "--results", suite, "--output", tmp_path / "drawn", "--only", "convergence")
    assert found.exit_code == 1
    assert "SAM/seed-2.metrics.jsonl: not a curve" in found.stderr
    assert "not drawn: convergence_mini-m2d2" not in found.stderr
    assert gather(load(suite), suite, ["mini-m2d2"]).curves["SAM"].keys() == {0, 1}
    allowed = ("--only", "convergence", "--allow-bad")
    assert run("figures", "--results", suite, "--output", tmp_path / "drawn", *allowed).exit_code == 0


@pytest.mark.usefixtures("_one_figure")
def test_the_command_writes_the_page_with_all_its_files_and_says_what_is_in_it(suite: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "report"
    found = run("report", "--results", suite, "--output", output, "--pdf")
    assert found.exit_code == 0
    assert found.stderr == ""
    assert "TRAM: results of the suite mini" in found.stdout
    assert "23 of 400 runs, 2 benchmarks, 5 methods, 3 seeds" in found.stdout
    assert "mini-vision-letters: not run: ASAM, FSAM, TRPO, MESA," in found.stdout
    assert "seeds missing: SGD (seeds 3-4), SAM (seeds 3-4), R3F (seeds 3-4), TRAM-x (seeds 2-4)" in found.stdout
    assert "python -m benchmarks suite mini --full --benchmarks mini-vision-letters" in found.stdout
    assert found.stdout.rstrip().endswith(str(output / "index.html"))
    page = Outline((output / "index.html").read_text())
    assert page.open == []
    assert page.headings[:4] == [
        "TRAM: results of the suite mini", "Claims of the paper", "What was run, and what is missing", "Tables"
    ]  # fmt: skip
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (output / link).is_file(), link
    on_disk = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert {"figures/overview.png", "figures/overview.pdf", "tables/claims.csv", "tables/cost.tex"} <= on_disk
    assert on_disk == {"index.html", "tables/numbers.tex", *(link for link in page.links if not link.startswith("#"))}


@pytest.mark.usefixtures("_no_figures")
def test_the_page_needs_nothing_but_itself(suite: Path, tmp_path: Path) -> None:
    text = write_report(load(suite), suite, tmp_path / "report").page.read_text()
    assert re.findall(r"(?:src|srcset|action)=\"(?!data:)[^\"]*\"", text) == []
    assert re.findall(r"<link(?! rel=\"icon\" href=\"data:,\")", text) == []
    assert re.findall(r"@import|url\(|https?://|\bfetch\(|XMLHttpRequest", text) == []


@pytest.mark.usefixtures("_no_figures")
def test_each_number_of_a_table_leads_to_records_that_give_it(suite: Path, tmp_path: Path) -> None:
    """The label's link, then the mean of the scores behind it: the number that the table shows."""
    page = (write_report(load(suite), suite, tmp_path / "report").page).read_text()
    (table,) = re.findall(r'<figure class="table" id="mini-m2d2">.*?</figure>', page, flags=re.DOTALL)
    rows = re.findall(r'<th scope="row".*?<a href="#([^"]+)".*?data-value="([^"]*)">([^<]*)<', table)
    assert len(rows) == 4
    for target, value, shown in rows:
        (records,) = re.findall(rf'<tbody id="{re.escape(target)}">.*?</tbody>', page, flags=re.DOTALL)
        scores = [
            float(score) for score in re.findall(r'<td class="number">\d+</td><td class="number">([\d.]+)', records)
        ]
        assert len(scores) == 3
        assert sum(scores) / 3 == pytest.approx(float(value), abs=0.005)
        assert f"{float(value):.2f}" == shown


@pytest.mark.usefixtures("_one_figure")
def test_another_process_writes_the_same_bytes(suite: Path, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import analysis.figures.drawing as drawing
from analysis.figures import figures_of
from analysis.records import load
from analysis.report import write_report
from analysis.report.content import Report
drawing.figures_of = lambda material, _: figures_of(material, ["overview"])
suite, output = map(Path, sys.argv[1:])
write_report(load(suite), suite, output)
print(sorted({"torch", "transformers", "tram"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(suite), str(tmp_path / "theirs")],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
    write_report(load(suite), suite, tmp_path / "ours")
    ours, theirs = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "ours", tmp_path / "theirs")
    )
    assert ours == theirs


# --------------------------------------------------------------------------------------------- bad and strange results


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(("options", "code"), [((), 1), (("--allow-bad",), 0)])
def test_bad_files_are_on_the_page_and_end_with_1_unless_allowed(
    suite: Path, tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    bad = suite / "mini-m2d2" / "SAM" / "seed-2.json"
    bad.write_text("{")
    found = run("report", "--results", suite, "--output", tmp_path / "out", *options)
    assert found.exit_code == code
    assert found.stderr.startswith(f"left out: {bad}: not readable as JSON")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Left out: 1 file</h2>" in page
    assert f"<li>{bad.relative_to(suite)}: not readable as JSON" in page
    assert 'href="#left-out"' in page


@pytest.mark.parametrize("command", ["tables", "figures", "claims", "readme"])
def test_every_command_may_be_told_to_go_on(suite: Path, tmp_path: Path, command: str) -> None:
    (suite / "mini-m2d2" / "SAM" / "seed-2.json").write_text("{")
    told = ["--readme", tmp_path / "README.md"] if command == "readme" else ["--output", tmp_path / "out"]
    (tmp_path / "README.md").write_text("<!-- results -->\n<!-- /results -->\n")
    options = [command, "--results", suite, *told, *([] if command == "readme" else ["--benchmarks", "mini-m2d2"])]
    if command == "figures":
        options += ["--only", "overview"]
    assert run(*options).exit_code == 1
    assert run(*options, "--allow-bad").exit_code == 0


@pytest.mark.usefixtures("_no_figures")
def test_text_from_files_stays_text(suite: Path, tmp_path: Path) -> None:
    bad = suite / "mini-m2d2" / "<script>alert(1)" / "seed-0.json"
    bad.parent.mkdir()
    bad.write_text("{")
    page = write_report(load(suite), suite, tmp_path / "out").page.read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)/seed-0.json" in page


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(
    ("benchmarks", "seeds"),
    [
        ({"mini-xnli": ("SAM",)}, (0,)),
        ({"mini-m2d2": ("Adam", "TRAM-x@std=0.03", "TRAM-prev@decay=0.99@maximum=0.5")}, (0, 1)),
        ({"mini-vision-digits": ("SGD", "a method of my own")}, (0, 1, 2)),
    ],
)
def test_partial_results_and_methods_that_the_paper_has_not(
    tmp_path: Path, benchmarks: dict[str, tuple[str, ...]], seeds: tuple[int, ...]
) -> None:
    folder = write_tree(tmp_path / "results", benchmarks, seeds, lambda method, seed, domain: 50.0 + seed + len(domain))
    found = run("report", "--results", folder, "--output", tmp_path / "out")
    assert found.exit_code == 0, found.output
    page = Outline((tmp_path / "out" / "index.html").read_text())
    for methods in benchmarks.values():
        for method in methods:
            assert any(method in row for row in page.rows), method


@pytest.mark.usefixtures("_no_figures")
def test_the_papers_own_numbers_make_a_report_without_runs(tmp_path: Path) -> None:
    found = run("report", "--results", ROOT / "results" / "published", "--output", tmp_path / "out")
    assert found.exit_code == 0, found.output
    page = Outline((tmp_path / "out" / "index.html").read_text())
    assert page.headings[0] == "TRAM: the paper's own tables"
    assert "What was run, and what is missing" not in page.headings
    assert "Records" not in page.headings
    assert "follows" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "empty"], "no records below empty. Run `make reproduce` first, or name a suite's folder."),
        (["--results", "nowhere"], "no folder nowhere: `make reproduce` makes results."),
        (["--output", "file"], "cannot write to file: File exists. Name another folder with --output."),
        (["--benchmarks", "mini-m2d"], "no benchmark 'mini-m2d'; did you mean mini-m2d2?"),
    ],
)
def test_refusals(suite: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(suite.parents[1])
    Path("empty").mkdir()
    Path("file").touch()
    found = run("report", *arguments)
    assert (found.exit_code, found.stderr) == (2, f"error: {message}\n")


# -------------------------------------------------------------------------------------------------- the stored results

GOLDEN = Path(__file__).parent / "golden" / "report.txt"


def described(page: Outline) -> Iterator[str]:
    """A page's headings and the rows of its claims, in words."""
    yield from page.headings
    for row in page.rows:
        if len(row) == 7:
            yield " | ".join(" ".join(cell.split()) for cell in row[:6])


@pytest.mark.usefixtures("_no_figures")
def test_golden(tmp_path: Path) -> None:
    """`UPDATE_GOLDEN=1 pytest` writes it anew: look at what changed before you keep it."""
    folder = ROOT / "results" / "mini"
    written = write_report(load(folder), folder, tmp_path / "out")
    text = "\n".join(described(Outline(written.page.read_text()))) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


# ------------------------------------------------------------------------------------------------------------- growth


def test_many_records_take_no_more_than_their_share(tmp_path: Path) -> None:
    """Ten times the records: read and sorted out in at most 25 times the processor time, where squares take 100."""
    taken = []
    for seeds in (2, 20):
        methods = {"mini-vision-letters": ("SGD", "SAM", "R3F", "TRAM-x"), "mini-m2d2": ("Adam", "SAM", "R3F")}
        folder = write_tree(
            tmp_path / str(seeds),
            methods,
            range(seeds),
            lambda method, seed, domain: 50 + seed % 7 + len(domain + method),
        )
        best = float("inf")
        for _ in range(2):
            started = time.process_time()
            results = load(folder)
            grouped(results)
            best = min(best, time.process_time() - started)
        taken.append(best)
        assert len(results.records) == seeds * 7
    assert taken[1] < 25 * taken[0] + 0.05


def test_stored_curves_are_not_mistaken_for_records() -> None:
    folder = ROOT / "results" / "mini"
    results = load(folder)
    assert results.left_out == ()
    assert len(results.records) == len(list(folder.glob("*/*/seed-*.json")))
    assert len(results.probes) == len(list(folder.glob("*/*/seed-*/*.json")))
    assert json.loads((folder / "mini-m2d2" / "TRPO" / "seed-0.json").read_text())["schema_version"] == 2
