"""Lifting records of older schemas: what is added, that nothing is lost, and what is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmarks import migration
from benchmarks.__main__ import app
from benchmarks.migration import first_lost, migrate
from benchmarks.record import RecordError, Run, read_record, write_atomically

OLD = Path(__file__).parent / "version_1"
RUN = Run("mini", "mini-m2d2", "TRPO", 0)
ADDED = {
    "method_fields.moving_scale": None,
    "method_fields.moving_maximum": None,
    "recipe.selection_examples": None,
    "recipe.checkpoint_every": None,
    "recipe.precision": "float32",
    "recipe.keep_reference": False,
    "environment.precision": "float32",
    "environment.processes": 1,
    "environment.parallel": None,
    "environment.resumed": 0,
}
"""What version 1 left to its code, by the code that wrote the stored record."""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with one record as version 1 wrote it."""
    shutil.copytree(OLD, tmp_path / "results")
    return tmp_path / "results"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the names that lead to it."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from leaves(value, f"{name}.{key}".lstrip("."))
    else:
        yield name, content


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_lift_adds_what_was_left_to_defaults_and_changes_no_character_besides(results: Path) -> None:
    path = RUN.path(results)
    old = path.read_text()
    with pytest.raises(
        RecordError, match=r"schema version 1, this code reads 2\. .*benchmarks migrate .*mini-m2d2/TRPO"
    ):
        read_record(path)
    found = call("migrate", results)
    assert found.exit_code == 0
    assert found.stdout == f"{results}: 1 record lifted to version 2, 0 of that version before, 0 refused\n"
    new = path.read_text()
    before, after = dict(leaves(json.loads(old))), dict(leaves(json.loads(new)))
    assert {name: value for name, value in after.items() if name not in before} == ADDED
    assert {name for name in before if repr(before[name]) != repr(after[name])} == {"schema_version"}
    # Numbers keep their very digits: each line of the old file but the version stands in the new one, in order.
    lines = iter(line.rstrip(",") for line in new.splitlines())
    assert all(line.rstrip(",") in lines for line in old.splitlines() if "schema_version" not in line)
    assert read_record(path).metrics == json.loads(old)["metrics"]


def test_what_says_more_than_version_1_had_to_keeps_it(results: Path) -> None:
    path = RUN.path(results)
    edit(path, lambda content: content["recipe"].update(checkpoint_every=7, precision="bfloat16"))
    edit(path, lambda content: content["environment"].update(processes=4, resumed=2, slurm_job_id="12"))
    list(migrate(results))
    record = read_record(path)
    assert (record.recipe["checkpoint_every"], record.recipe["precision"]) == (7, "bfloat16")
    assert record.environment["processes"] == 4
    assert record.environment["resumed"] == 2
    assert record.environment["slurm_job_id"] == "12"
    assert record.environment["precision"] == "float32"


def test_a_dry_run_writes_nothing(results: Path) -> None:
    old = RUN.path(results).read_bytes()
    found = call("migrate", results, "--dry-run")
    assert found.exit_code == 0
    assert "1 record would be lifted to version 2" in found.stdout
    assert RUN.path(results).read_bytes() == old
    assert [path.name for path in RUN.path(results).parent.iterdir()] == ["seed-0.json"]


def several(results: Path, count: int) -> list[Path]:
    """`count` records of version 1, of as many seeds."""
    paths = [Run("mini", "mini-m2d2", "TRPO", seed).path(results) for seed in range(count)]
    for seed, path in enumerate(paths[1:], start=1):
        shutil.copy(paths[0], path)
        edit(path, lambda content, seed=seed: content.update(seed=seed))
    return paths


def test_interrupted_it_goes_on_where_it_was(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = several(results, 4)
    writes: list[Path] = []

    def interrupted(path: Path, content: bytes) -> None:
        if len(writes) == 2:
            raise KeyboardInterrupt
        writes.append(path)
        write_atomically(path, content)

    monkeypatch.setattr(migration, "write_atomically", interrupted)
    assert call("migrate", results).exit_code == 130
    versions = [json.loads(path.read_text())["schema_version"] for path in paths]
    assert versions == [2, 2, 1, 1]
    monkeypatch.setattr(migration, "write_atomically", write_atomically)
    found = call("migrate", results)
    assert found.exit_code == 0
    assert "2 records lifted to version 2, 2 of that version before, 0 refused" in found.stdout
    assert [read_record(path).seed for path in paths] == [0, 1, 2, 3]


def test_a_full_disk_is_said_and_nothing_is_half_written(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(migration, "write_atomically", full)
    old = RUN.path(results).read_bytes()
    found = call("migrate", results)
    assert found.exit_code == 1
    assert "seed-0.json: No space left on device. What is lifted stays so" in found.stderr
    assert RUN.path(results).read_bytes() == old


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content.update(schema_version=0), "schema version 0 is unknown here"),
        (lambda content: content.update(schema_version=9), "schema version 9 is unknown here"),
        (lambda content: content.pop("schema_version"), "not the JSON of a record ('schema_version')"),
        (lambda content: content.pop("recipe"), "KeyError('recipe')"),
        (lambda content: content.update(recipe=[]), "TypeError"),
        (lambda content: content["recipe"].pop("lr"), "its fields are not those of a recipe: lr"),
        (lambda content: content["environment"].pop("torch"), "it does not say torch"),
        (lambda content: content["metrics"].update({"test/nll/math": float("nan")}), "finite number"),
        (lambda content: content["metrics"].update({"test/nll/math": "4.0"}), "valid number"),
        (lambda content: content.update(temperature=1.0), "temperature: Extra inputs are not permitted"),
        (lambda content: content.update(seed=3), "its content is the run mini-m2d2 TRPO seed 3"),
    ],
)
def test_what_cannot_be_lifted_is_named_and_left_as_it_is(
    results: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    paths = several(results, 2)
    edit(paths[0], change)
    old = paths[0].read_bytes()
    found = call("migrate", results)
    assert found.exit_code == 1
    assert found.stderr.startswith(f"{paths[0]}: ")
    assert complaint in found.stderr
    assert "1 record lifted to version 2, 0 of that version before, 1 refused" in found.stdout
    assert paths[0].read_bytes() == old
    assert read_record(paths[1]).seed == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_what_is_no_json_of_a_record_is_named(results: Path, content: bytes) -> None:
    RUN.path(results).write_bytes(content)
    found = call("migrate", results)
    assert found.exit_code == 1
    assert "not the JSON of a record" in found.stderr
    assert RUN.path(results).read_bytes() == content


def test_a_key_that_stands_twice_is_refused(results: Path) -> None:
    """JSON keeps the last of two: the first number would be lost."""
    path = RUN.path(results)
    path.write_text(path.read_text().replace('"metrics": {', '"metrics": {\n  "test/nll/math": 1.5,'))
    assert "'test/nll/math' stands in it twice" in call("migrate", results).stderr


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ({"a": {"b": 1.0}}, {"a": {"b": 1.0}, "c": 2}, None),
        ({"a": {"b": 1.0}}, {"a": {}}, "a.b"),
        ({"a": 0.1}, {"a": 0.1 + 2**-56}, "a"),
        ({"a": 1}, {"a": 1.0}, "a"),
        ({"a": -0.0}, {"a": 0.0}, "a"),
        ({"a": [1.0, 2.0]}, {"a": [2.0, 1.0]}, "a"),
        ({"a": {}}, {"a": None}, "a"),
    ],
)
def test_what_is_lost_is_named(old: Any, new: Any, lost: str | None) -> None:
    assert first_lost(old, new) == lost


def test_a_lift_that_would_lose_a_number_is_refused(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(content: dict[str, Any]) -> dict[str, Any]:
        lifted = migration._from_1(content)
        return lifted | {"metrics": {name: round(value, 6) for name, value in lifted["metrics"].items()}}

    monkeypatch.setattr(migration, "LIFTS", {1: careless})
    found = call("migrate", results)
    assert found.exit_code == 1
    assert "metrics.validation/nll/math would not survive" in found.stderr
    assert json.loads(RUN.path(results).read_text())["schema_version"] == 1
