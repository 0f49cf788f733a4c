"""The stored record is of every cell, explains every outcome, says where it is from, and is what the pages show."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conformance import __main__ as commands
from tests.conformance import origin as origins
from tests.conformance.cells import CELLS
from tests.conformance.check import TOLERANCE, Verdict
from tests.conformance.origin import ROOT, described, fingerprint, origin
from tests.conformance.record import OUTCOMES, STORED, group_of, read, record
from tests.conformance.rules import FAILED, PASSED, RULES, rule_of
from tests.conformance.table import LETTERS, PAGES, _entry, rendered, totals


def test_every_cell_is_in_the_record_and_ended_as_it_has_to() -> None:
    content = read(STORED)
    expected: dict[tuple[object, ...], Counter[str]] = {}
    for cell in CELLS:
        rule = rule_of(cell)
        expected.setdefault(group_of(cell), Counter())[PASSED if rule is None else rule.outcome] += 1
    found = {
        (group["way"], group["precision"], group["layout"], group["micro_batches"]): Counter(
            {outcome: group[outcome] for outcome in OUTCOMES if outcome in group}
        )
        for group in content["groups"]
    }
    assert content["failed"] == {}
    assert found == expected
    assert f"Of {len(CELLS):,} cells" in totals(content)


def test_every_difference_is_within_the_tolerance() -> None:
    content = read(STORED)
    assert content["tolerance"] == TOLERANCE
    for group in content["groups"]:
        assert ("largest_difference" in group) == (PASSED in group)
        assert group.get("largest_difference", 0.0) <= TOLERANCE[group["precision"]]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_the_record(page: str) -> None:
    """If not: `python -m tests.conformance table`."""
    assert (ROOT / page).read_text(encoding="utf-8") == rendered(page, read(STORED))


def test_a_record_of_some_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=f"{len(CELLS)} cells have no verdict"):
        record({}, origin())


def test_failed_cells_are_shown() -> None:
    content = read(STORED)
    group = next(group for group in content["groups"] if PASSED in group)
    group[FAILED] = 1
    assert "1 failed" in totals(content)
    assert all("1 failed" in make(content) for make in PAGES.values())


def test_a_note_is_of_the_rule_that_its_cells_are_held_against() -> None:
    rules: dict[tuple[object, ...], set[str]] = {}
    for cell in CELLS:
        rule = rule_of(cell)
        rules.setdefault(group_of(cell), set()).update([] if rule is None else LETTERS[RULES.index(rule)])
    for group in read(STORED)["groups"]:
        expected = rules[group["way"], group["precision"], group["layout"], group["micro_batches"]]
        assert set(re.findall(r"\b[a-j]\b", "".join(re.findall(r"\[.*?\]", _entry([group]))))) == expected


# ---------------------------------------------------------------------------------------------------- where it is from


def test_the_record_says_where_it_is_from() -> None:
    content = read(STORED)
    assert content.keys() == record(dict.fromkeys(range(len(CELLS)), Verdict(PASSED, 0.0)), origin()).keys()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", content["date"])
    assert re.fullmatch(r"[0-9a-f]{40}", content["git_commit"])
    assert re.fullmatch(r"[0-9a-f]{16}", content["fingerprint"])
    assert described(content) in (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")


def test_where_a_record_is_from_in_words() -> None:
    content: dict[str, Any] = {
        "date": "2026-02-03",
        "git_commit": 8 * "abcde",
        "git_dirty": False,
        "fingerprint": "0123456789abcdef",
        "versions": {"torch": "2.9.1", "lightning": "2.6"},
    }
    rest = "(fingerprint `0123456789abcdef`), torch 2.9.1, lightning 2.6."
    assert described(content) == f"Run on 2026-02-03: commit `abcdeabcde` {rest}"
    assert described({**content, "git_dirty": True}) == (
        f"Run on 2026-02-03: commit `abcdeabcde` and changes after it {rest}"
    )
    assert described({**content, "git_commit": None, "git_dirty": None}) == (
        f"Run on 2026-02-03: code outside of a repository {rest}"
    )


def test_the_origin_is_that_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*origins.SOURCES, "results"):
        path = tmp_path / name / "part.py" if not Path(name).suffix else tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    monkeypatch.setattr(origins, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    outside = origin()
    assert (outside["git_commit"], outside["git_dirty"]) == (None, None)

    def git(*arguments: str) -> str:
        as_somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        done = subprocess.run(
            ["git", *as_somebody, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    committed = origin()
    assert committed == {**outside, "git_commit": git("rev-parse", "HEAD"), "git_dirty": False}
    (tmp_path / "results" / "part.py").write_text("2")
    assert origin() == committed
    (tmp_path / "tram" / "part.py").write_text("2")
    changed = origin()
    assert changed == {**committed, "git_dirty": True, "fingerprint": changed["fingerprint"]}
    assert changed["fingerprint"] != committed["fingerprint"]
    monkeypatch.setattr(origins, "versions", lambda: {"torch": "another"})
    assert fingerprint() not in (committed["fingerprint"], changed["fingerprint"])


def test_the_commands_say_that_the_sources_have_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored = tmp_path / "conformance.json"
    monkeypatch.setattr(commands, "STORED", stored)
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(commands, "PAGES", {})
    started = origin()
    right = dict.fromkeys(range(len(CELLS)), Verdict(PASSED, 0.0))

    def command(now: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(commands, "fingerprint", lambda: now)
        done = CliRunner().invoke(commands.app, arguments)
        return done.exit_code, done.output

    monkeypatch.setattr(commands, "_with_progress", lambda *_: right)
    code, said = command("changed", "run")
    assert (code, stored.exists()) == (2, False)
    assert "the sources changed while cells were checked" in said
    assert command(started["fingerprint"], "run")[0] == 0
    assert read(stored) == record(right, started)
    assert "make conformance" in command("changed", "table")[1]
    assert "make conformance" not in command(started["fingerprint"], "table")[1]


def test_a_number_of_workers_that_cannot_work_is_told() -> None:
    refused = CliRunner().invoke(commands.app, ["run", "--workers", "0"])
    assert refused.exit_code == 2
    assert "Invalid value for '--workers'" in refused.output
