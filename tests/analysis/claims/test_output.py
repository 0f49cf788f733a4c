"""What is written and printed: golden files that were read by eye, JSON, the terminal, the command."""

import csv
import io
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from analysis import render
from analysis.__main__ import app
from analysis.claims import CLAIMS, Judged, judge
from analysis.claims.table import as_json, claims_table
from analysis.claims.terminal import print_claims
from analysis.records import load
from analysis.verdicts import MINIATURE
from tests.analysis.claims.worlds import WOBBLE, world

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"


@cache
def judged_on(name: str) -> tuple[Judged, ...]:
    return judge(load(ROOT / "results" / name))


def shown(judged: tuple[Judged, ...], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_claims(judged, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return, unused-ignore]


@pytest.mark.parametrize("name", ["mini", "published"])
def test_what_is_no_difference_is_said_above_the_table(name: str) -> None:
    """Steadier claims show the logarithm of a ratio, trends a correlation."""
    caption = claims_table(judged_on(name)).caption
    assert "of two spreads over seeds it is the logarithm of their ratio, and a trend has its r instead" in caption


@pytest.mark.parametrize("name", ["mini", "published"])
def test_golden(name: str) -> None:
    """To renew after a wanted change: `python -m tests.analysis.claims.write_golden`, then read the files."""
    judged = judged_on(name)
    table = claims_table(judged)
    assert render.markdown(table) == (GOLDEN / f"{name}.md").read_text(encoding="utf-8")
    assert render.comma_separated(table) == (GOLDEN / f"{name}.csv").read_text(encoding="utf-8")
    assert shown(judged, 80) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["mini", "published"])
@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_shows_every_verdict_within_its_width(name: str, width: int) -> None:
    judged = judged_on(name)
    text = shown(judged, width)
    # Commands are for copying, and are not broken.
    assert max(len(line) for line in text.splitlines() if not line.startswith("    python -m")) <= width
    assert "…" not in text
    words = " ".join(text.split())
    for claim in dict.fromkeys(one.claim for one in judged):
        assert claim.sentence in words
    assert ("Holm p numbers" in words) is (width == 100)


def test_the_table_has_a_row_per_judgement_and_a_section_per_claim() -> None:
    judged = judged_on("mini")
    table = claims_table(judged)
    assert len(table.rows) == len(judged)
    assert len(table.sections) == len({one.claim.id for one in judged})
    assert table.headings[0].startswith(CLAIMS[0].sentence)
    assert MINIATURE in table.notes
    assert MINIATURE not in claims_table(judged_on("published")).notes
    lines = list(csv.DictReader(io.StringIO(render.comma_separated(table))))
    for line, one in zip(lines, judged, strict=True):
        assert (line["claim"], line["benchmark"], line["verdict"]) == (one.claim.id, one.benchmark, one.verdict)
        effect = one.evidence.finding.effect if one.evidence.finding else None
        assert line["difference"] == ("" if effect is None else f"{effect:.9g}")
        assert line["command"] == (one.command or "")


def test_benchmarks_of_which_the_same_is_to_be_said_share_a_line() -> None:
    text = shown(judged_on("mini"), 100)
    assert "5 benchmarks         replicated" in text
    assert "mini-vision-digits   contradicted     -4.90" in text


def test_json_holds_everything_and_no_infinity() -> None:
    judged = judge(world("mini-xnli", lambda method, seed, _: 50.0 + (method == "TRAM-x"), seeds=range(6)))
    content = json.loads(as_json(judged), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert len(content) == len(judged)
    by_id = {one["claim"]["id"]: one for one in content}
    significant = by_id["xnli-significant"]
    assert significant["claim"]["kind"] == "Ahead"
    assert significant["claim"]["question"]["level"] == 0.01
    assert significant["evidence"]["differences"] == [1.0] * 6
    # Equal differences: t is infinite.
    assert significant["evidence"]["test"]["statistic"] is None
    assert significant["evidence"]["beside"]["signed_rank"]["p"] == 2 / 2**6
    assert significant["verdict"] == "replicated"


def test_a_correlation_is_shown_in_its_own_sign() -> None:
    (one,) = [one for one in judged_on("published") if one.claim.id == "m2d2-anticorrelated"]
    assert one.evidence.interval is not None
    assert one.evidence.interval.low > 0
    assert "-0.76 [-0.93, -0.28]" in shown((one,), 80)
    assert "Phil with Math: -0.76. 95% Fisher interval [-0.93, -0.28]" in one.why


def test_what_does_not_survive_correction_is_marked_wherever_a_verdict_is_shown() -> None:
    judged = judged_on("mini")
    lucky = [one for one in judged if one.verdict in ("replicated", "contradicted") and (one.corrected or 0) >= 0.05]
    assert {one.verdict for one in lucky} == {"replicated", "contradicted"}
    assert [one for one in judged if "which luck may explain" in one.why] == lucky
    assert [one for one in judged if one.mark] == lucky
    table = claims_table(judged)
    assert f"{len(lucky)} of those decided by a test do not survive Holm's correction (†)." in table.notes[0]
    assert table.caption.count("†") == 1
    (place,) = (number for number, column in enumerate(table.columns) if column.name == "verdict")
    for row, one in zip(table.rows, judged, strict=True):
        assert row[place].text == (f"{one.verdict} †" if one in lucky else one.verdict)
        decided = one.verdict in ("replicated", "contradicted") and one.evidence.p is not None
        assert row[place].values == (one.verdict, ("no" if one in lucky else "yes") if decided else None)
    text = shown(judged, 80)
    assert text.count(" †  ") == len(lucky)
    assert [one["may_be_luck"] for one in json.loads(as_json(judged))] == [one in lucky for one in judged]


def test_an_order_that_the_printed_spreads_leave_to_luck_is_marked() -> None:
    """Table 3: Welch's p of each deciding pair, times the choices, corrected over the nine of its claims."""
    judged = [one for one in judged_on("published") if one.family == "vision" and one.evidence.p is not None]
    assert len(judged) == 9
    marked = {(one.claim.id, one.benchmark) for one in judged if one.mark}
    ps = {(one.claim.id, one.benchmark): one.evidence.p or 0.0 for one in judged}
    # By Holm's rule, those from the first on that fails: p(k) (9 - k + 1) >= 0.05.
    order = sorted(ps, key=ps.__getitem__)
    first = next(k for k, which in enumerate(order) if ps[which] * (9 - k) >= 0.05)
    assert marked == set(order[first:])
    assert len(marked) == 4


def test_one_line_makes_all_that_is_missing(tmp_path: Path) -> None:
    """Three claims on sharpness and CKA lack probes of overlapping methods: none is named twice."""
    judged = judge(world("mini-xnli", lambda *_: 50.0))
    *table, line = claims_table(judged).notes
    methods = "Adam,SAM,ASAM,FSAM,TRPO,R3F,MESA,TRAM-prev,TRAM-pre,TRAM-x,TRAM-Fisher"
    command = f"python -m benchmarks probe mini --benchmarks mini-xnli --methods {methods} --probes sharpness,cka"
    assert line == f"To run what is missing: {command}"
    assert not any("To run" in note for note in table)
    assert shown(judged, 80).endswith(f"\nTo run what is missing:\n    {command}\n")


# The command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["claims", *map(str, arguments)])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    from benchmarks.record import write_record

    results = world("mini-xnli", lambda method, seed, _: 60 + WOBBLE[seed] + (method == "TRAM-x"), ("Adam", "TRAM-x"))
    for record in results.records:
        write_record(record, tmp_path / "results")
    return tmp_path / "results" / "mini"


def test_the_command_writes_three_files(small: Path, tmp_path: Path) -> None:
    result = run("--results", small, "--output", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["claims.csv", "claims.json", "claims.md"]
    assert "TRAM-x is better than Adam in every unseen language." in result.stdout
    lines = [line for line in result.stdout.splitlines() if "python -m benchmarks suite mini --full" in line]
    assert lines
    assert all(line.endswith(f" --results {tmp_path / 'results'}") for line in lines)
    assert "\x1b" not in result.stdout


def test_bad_records_are_named_and_the_rest_judged(small: Path, tmp_path: Path) -> None:
    (small / "mini-xnli" / "Adam" / "seed-4.json").write_text("{")
    result = run("--results", small, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("left out: ")
    content = json.loads((tmp_path / "out" / "claims.json").read_text(encoding="utf-8"))
    assert {len(one["evidence"]["differences"]) for one in content if one["claim"]["id"] == "xnli-every-language"} == {
        4
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "nowhere"], "no folder nowhere: "),
        (["--benchmarks", "mini-xnl"], "no benchmark 'mini-xnl'; did you mean mini-xnli?"),
        (["--benchmarks", "mini-m2d2"], "no claim is about mini-m2d2 below "),
        (["--output", "file"], "cannot write to file"),
    ],
)
def test_refusals(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    result = run("--results", small, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert not Path("build").exists()


def test_published_tables_are_a_folder_like_any_other(tmp_path: Path) -> None:
    result = run("--results", ROOT / "results" / "published", "--benchmarks", "m2d2-s2orc", "--output", tmp_path)
    assert result.exit_code == 0
    assert "does not follow" in result.stdout
    lines = list(csv.DictReader(io.StringIO((tmp_path / "claims.csv").read_text(encoding="utf-8"))))
    assert {line["benchmark"] for line in lines} == {"m2d2-s2orc"}


ONCE_MORE = """
import sys
from typer.testing import CliRunner, Result
import analysis.__main__
arguments = ["claims", "--benchmarks", "mini-xnli", "--output", sys.argv[1]]
result = CliRunner().invoke(analysis.__main__.app, arguments)
assert result.exit_code == 0, result.output
print(sorted({"torch", "transformers", "tram"} & sys.modules.keys()))
"""


def test_another_process_writes_the_same_bytes_without_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONCE_MORE, str(tmp_path / "one")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert done.stdout == "[]\n"
    results = ROOT / "results" / "mini"
    assert run("--results", results, "--benchmarks", "mini-xnli", "--output", tmp_path / "two").exit_code == 0
    for name in ("claims.md", "claims.csv", "claims.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
