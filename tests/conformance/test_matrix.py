"""The matrix itself: its cells, what a verdict can say, and a selection that has every pair of values."""

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from tests.conformance import __main__ as commands
from tests.conformance import check as checking
from tests.conformance import plain
from tests.conformance.cells import AXES, CELLS, Cell
from tests.conformance.check import Verdict, check
from tests.conformance.covering import PAIRS, covering, pairs_of
from tests.conformance.record import _summary
from tests.conformance.rules import FAILED, PASSED, REFUSED, RULES, rule_of
from tests.conformance.run import _worst, run
from tests.conformance.setting import Setting
from tram import TRAM

STRAIGHT = Cell("plain loop", "full", "one process", 4, "TRAM-prev", True, False)
RESUMED = dataclasses.replace(STRAIGHT, resumed=True)


@pytest.fixture(autouse=True)
def _no_weights_of_an_earlier_test() -> None:
    checking._straight.cache_clear()


# ------------------------------------------------------------------------------------------------------ what is in it


def test_every_combination_is_a_cell_once() -> None:
    assert len(set(CELLS)) == len(CELLS) == 6 * 3 * 4 * 2 * 17 * 2 * 2
    assert list(AXES) == [field.name for field in dataclasses.fields(Cell)]
    assert len({str(cell) for cell in CELLS}) == len(CELLS)
    for number, cell in enumerate(CELLS):
        # A resumed cell follows its straight one, whose weights are kept until then.
        assert CELLS[number - cell.resumed] == dataclasses.replace(cell, resumed=False)


def test_every_rule_is_of_use_and_names_values_that_there_are() -> None:
    assert {rule for cell in CELLS if (rule := rule_of(cell)) is not None} == set(RULES)
    for rule in RULES:
        for axis, values in rule.where.items():
            assert set(values) <= set(AXES[axis])


def test_most_cells_have_to_pass() -> None:
    ending = Counter(PASSED if (rule := rule_of(cell)) is None else rule.outcome for cell in CELLS)
    assert ending[PASSED] > 0.6 * len(CELLS), ending


# --------------------------------------------------------------------------------------------- what a verdict can say


def test_a_cell_that_is_right_passes() -> None:
    for cell in (STRAIGHT, RESUMED):
        verdict = check(cell)
        assert verdict.outcome == PASSED, verdict.why
        assert verdict.difference is not None
        assert verdict.difference < 1e-14


@pytest.mark.parametrize("name", ["advance", "_ascend", "_radius"])
def test_a_cell_fails_if_the_library_does_something_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checking.reference(STRAIGHT)  # made by the library as it is, and kept
    if name == "_radius":
        original_radius = TRAM._radius
        monkeypatch.setattr(TRAM, name, lambda *given: 1.001 * original_radius(*given))
    elif name == "_ascend":
        original = TRAM._ascend

        def ascend_and_return(self: TRAM) -> None:
            original(self)
            with torch.no_grad():
                torch._foreach_copy_(self._weights, self._backup)

        monkeypatch.setattr(TRAM, name, ascend_and_return)
    else:
        original_advance = TRAM.advance

        def with_a_reference_of_its_own(self: TRAM) -> None:
            original_advance(self)
            with torch.no_grad():
                torch._foreach_mul_(self._reference, 1.01)

        monkeypatch.setattr(TRAM, name, with_a_reference_of_its_own)
    verdict = check(STRAIGHT)
    assert verdict.outcome == FAILED


def test_a_resumed_cell_fails_if_the_state_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    checking.reference(STRAIGHT)
    monkeypatch.setattr(TRAM, "load_state_dict", lambda self, state: None)
    assert check(STRAIGHT).outcome == PASSED
    assert check(RESUMED).outcome == FAILED


def test_a_resumed_cell_fails_if_only_its_last_bit_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    original = plain.train

    def with_a_bit_more(cell: Cell, setting: Setting) -> dict[str, Tensor]:
        found = original(cell, setting)
        scale = 1 + torch.finfo(torch.float64).eps if cell.resumed else 1.0
        return {name: value * scale for name, value in found.items()}

    monkeypatch.setattr(plain, "train", with_a_bit_more)
    verdict = check(RESUMED)
    assert verdict.outcome == FAILED
    assert verdict.why is not None
    assert "not the bits of an uninterrupted training" in verdict.why


def test_what_had_to_be_refused_fails_if_it_runs_or_is_refused_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = dataclasses.replace(RULES[0], where={"way": ("plain loop",)}, match="use .* instead")
    monkeypatch.setattr(checking, "rule_of", lambda cell: rule)
    verdict = check(STRAIGHT)
    assert verdict.outcome == FAILED
    assert verdict.why is not None
    assert "ran to its end" in verdict.why

    def refuse(error: Exception) -> Verdict:
        def train(cell: Cell, setting: Setting) -> Any:
            raise error

        monkeypatch.setattr(plain, "train", train)
        checking._straight.cache_clear()
        return check(STRAIGHT)

    assert refuse(TypeError("use that instead")).outcome == REFUSED
    assert refuse(TypeError("no")).outcome == FAILED
    assert refuse(ValueError("use that instead")).outcome == FAILED


def test_weights_that_are_not_finite_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where every weight but the last is right, which Python's max() would pass over."""
    original = plain.train

    def with_the_last_lost(*given: Any) -> dict[str, Tensor]:
        found = original(*given)
        last = list(found)[-1]
        return {**found, last: found[last] * float("nan")}

    monkeypatch.setattr(plain, "train", with_the_last_lost)
    verdict = check(STRAIGHT)
    assert verdict.outcome == FAILED
    assert verdict.difference is not None
    assert math.isnan(verdict.difference)


def test_a_difference_that_is_no_number_is_the_worst() -> None:
    right, lost = Verdict(PASSED, 1e-15), Verdict(PASSED, math.nan)
    for verdicts in ([right, lost], [lost, right]):
        assert _worst(verdicts) is lost
        with pytest.raises(ValueError, match="difference of NaN"):
            _summary(verdicts)
    assert _worst([lost, Verdict(FAILED)]) == Verdict(FAILED)


def test_the_command_says_that_no_cell_has_such_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = CliRunner()
    refused = command.invoke(commands.app, ["run", "--only", "plain loop", "--only", "nonsense"])
    assert refused.exit_code == 2
    assert "no cell's name contains all of: plain loop, nonsense" in " ".join(refused.output.split())
    monkeypatch.setattr(commands, "STORED", tmp_path / "none.json")
    missing = command.invoke(commands.app, ["table"])
    assert missing.exit_code == 2
    assert "python -m tests.conformance run" in missing.output


# ------------------------------------------------------------------------------------------------------- the selection


def test_the_selection_has_every_pair_of_values() -> None:
    chosen = covering()
    found = 0
    for number in chosen:
        found |= pairs_of(CELLS[number])
    assert found == sum(PAIRS.values())
    assert len(chosen) == len(set(chosen)) < 130
    assert {rule_of(CELLS[number]) for number in chosen} >= set(RULES)


def test_every_cell_of_the_selection_ends_as_it_has_to(tmp_path: Path) -> None:
    chosen = covering()
    verdicts = run(chosen, 1, tmp_path / "kept.jsonl", lambda so_far: None)
    failed = {str(CELLS[number]): verdict.why for number, verdict in verdicts.items() if verdict.outcome == FAILED}
    assert not failed, "\n\n".join(f"{name}: {why}" for name, why in failed.items())
    for number, verdict in verdicts.items():
        rule = rule_of(CELLS[number])
        assert verdict.outcome == (PASSED if rule is None else rule.outcome)
    # What is kept is not done again: no process begins.
    assert run(chosen, 1, tmp_path / "kept.jsonl", lambda so_far: None) == verdicts
