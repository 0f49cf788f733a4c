"""A folder of records as a whole: every kind of file that is no record of its place is named, with what to do."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.__main__ import app
from benchmarks.contradiction import METHOD_FIELDS, _impossible, contradiction, probe_contradiction
from benchmarks.methods import resolve
from benchmarks.probes.record import probe_path, write_probe_record
from benchmarks.record import ENVIRONMENT, Passes, Record, Run, read_record, write_record
from benchmarks.row import Recipe
from benchmarks.run import described, method_fields
from benchmarks.storage import curve_path
from benchmarks.tree import read_tree
from tests.analysis.synthetic import record
from tests.analysis.synthetic_probes import probe_of
from tram import Ascent, Euclidean, Method

ROOT = Path(__file__).parents[2]
BENCHMARK = "mini-vision-letters"


def score(method: str, seed: int, domain: str) -> float:
    return 50.0 + seed


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs, one of them probed."""
    for seed in (0, 1):
        write_record(record(BENCHMARK, "SAM", seed, score), tmp_path / "results")
    write_probe_record(probe_of(record(BENCHMARK, "SAM", 0, score), "sharpness"), tmp_path / "results")
    return tmp_path / "results"


def place(results: Path, seed: int) -> Path:
    return Run("mini", BENCHMARK, "SAM", seed).path(results)


def test_all_of_a_sound_tree_is_read(results: Path) -> None:
    tree = read_tree(results)
    assert [found.seed for found in tree.records] == [0, 1]
    assert [(found.seed, found.probe) for found in tree.probes] == [(0, "sharpness")]
    assert tree.problems == ()


def test_the_stored_records_are_valid() -> None:
    done = CliRunner().invoke(app, ["validate", str(ROOT / "results")])
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""


def move(results: Path, target: str) -> Path:
    path = results / target
    path.parent.mkdir(parents=True)
    place(results, 1).rename(path)
    return path


def change(results: Path, **values: object) -> Path:
    path = place(results, 1)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return path


def recipe(results: Path, **values: object) -> Path:
    return change(results, recipe=json.loads(place(results, 1).read_text())["recipe"] | values)


def cut(results: Path) -> Path:
    place(results, 1).write_text(place(results, 1).read_text()[:99])
    return place(results, 1)


def drop(results: Path, key: str) -> Path:
    content = json.loads(place(results, 1).read_text())
    del content[key]
    place(results, 1).write_text(json.dumps(content))
    return place(results, 1)


def statistics(results: Path, **values: float) -> Path:
    return change(results, perturbation_norm=json.loads(place(results, 1).read_text())["perturbation_norm"] | values)


def scored_on(results: Path, key: str) -> Path:
    return change(results, metrics=json.loads(place(results, 1).read_text())["metrics"] | {key: 1.0})


def probe_of_another_place(results: Path) -> Path:
    path = probe_path(Run("mini", BENCHMARK, "SAM", 1), "sharpness", results)
    path.parent.mkdir(parents=True)
    shutil.copy(probe_path(Run("mini", BENCHMARK, "SAM", 0), "sharpness", results), path)
    return path


DAMAGES: list[tuple[Callable[[Path], Path], str]] = [
    (cut, "not readable as JSON"),
    (lambda results: change(results, schema_version=1), "To lift it: python -m benchmarks migrate"),
    (lambda results: change(results, schema_version=3), "schema version 3, this code reads 2. It needs newer code"),
    (lambda results: drop(results, "schema_version"), "it does not say its schema version"),
    (lambda results: drop(results, "passes"), "passes: Field required. Delete the file and run it again"),
    (lambda results: change(results, seed=5), "its content is the run mini-vision-letters SAM seed 5"),
    (lambda results: change(results, note="x"), "note: Extra inputs are not permitted"),
    (lambda results: change(results, selected_step="100"), "selected_step: Input should be a valid integer"),
    (lambda results: change(results, environment={}), "environment: Value error, it does not say git_commit"),
    (lambda results: recipe(results, extra=1), "its fields are not those of a recipe: extra"),
    (lambda results: recipe(results, lr="much"), "recipe"),
    (lambda results: recipe(results, lr=9.5), "its recipe has lr = 9.5, and mini-vision-letters has"),
    (lambda results: move(results, f"mini/{BENCHMARK}/ASAM/seed-1.json"), "its content is the run"),
    (lambda results: move(results, f"mini/{BENCHMARK} copy/SAM/seed-1.json"), "its content is the run"),
    (lambda results: change(results, selected_step=99), "its selected step is 99, and the last is 150. Move"),
    (lambda results: change(results, degenerate_steps=151), "it has 151 degenerate steps of 150. Move"),
    (
        lambda results: change(results, passes={"forward": 3, "backward": 2}),
        "its steps make 3 forward and 2 backward passes, and SAM makes 2 and 2. Move",
    ),
    (lambda results: statistics(results, median=0.8), "its perturbation_norm has median = 0.8 above its maximum of"),
    (lambda results: statistics(results, share_zero=1.5), "its perturbation_norm has share_zero = 1.5, and can only"),
    (
        lambda results: scored_on(results, "test/accuracy/moon"),
        "it has test/accuracy/moon, and the domains are letters",
    ),
    (probe_of_another_place, "its content is sharpness of the run mini-vision-letters SAM seed 0"),
]


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES)
def test_a_bad_file_is_named_with_what_to_do(results: Path, damage: Callable[[Path], Path], complaint: str) -> None:
    path = damage(results)
    tree = read_tree(results)
    (line,) = tree.problems
    assert line.startswith(f"{path}: ")
    assert complaint in line
    assert line.endswith(".") or "migrate" in line
    assert [found.seed for found in tree.records if found.seed == 1] == ([1] if "sharpness" in complaint else [])


def validate(folder: Path) -> Result:
    return CliRunner().invoke(app, ["validate", str(folder)])


def test_validate_counts_and_ends_with_1(results: Path) -> None:
    path = change(results, method_fields={})
    found = validate(results)
    assert found.exit_code == 1
    assert found.stdout == f"{results}: 1 valid record, 1 of probes, 1 not valid\n"
    assert found.stderr == (
        f"{path}: its method has type = None, and SAM has Method. Move or delete it, and run it again.\n"
    )


OWN = described(Method(ascent=Ascent(Euclidean(), radius=0.01)))


def with_the_numbers_of(results: Path, seed: int, other: int, **numbers: float) -> None:
    """Give a run the numbers of another, but for these."""
    path = place(results, seed)
    metrics = json.loads(place(results, other).read_text())["metrics"] | numbers
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": seed, "metrics": metrics}))


def test_the_numbers_of_another_seed_are_in_doubt_and_counted(results: Path) -> None:
    for seed in (2, 3):
        write_record(record(BENCHMARK, "SAM", seed, score), results)
    with_the_numbers_of(results, 1, 0)
    assert read_tree(results).alike == ((place(results, 0), place(results, 1)),)
    with_the_numbers_of(results, 3, 0)
    tree = read_tree(results)
    assert [found.seed for found in tree.records] == [0, 1, 2, 3]
    assert tree.alike == (tuple(place(results, seed) for seed in (0, 1, 3)),)
    found = validate(results)
    assert found.exit_code == 1
    assert found.stdout.endswith("4 valid records, 1 of probes, 0 not valid, 2 with the numbers of another run\n")
    assert found.stderr == "".join(
        f"{place(results, seed)}: every metric is that of seed-0.json, to the last digit: a seed was not used, or the "
        "record is a copy. Move or delete it, and run it again.\n"
        for seed in (1, 3)
    )


def test_only_what_is_counted_is_in_doubt(results: Path) -> None:
    """A seed that two files claim with other content is left out, and is nobody's copy."""
    with_the_numbers_of(results, 1, 0)
    other = results / "old" / "mini" / BENCHMARK / "SAM" / "seed-0.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps(json.loads(place(results, 0).read_text()) | {"peak_memory_bytes": 5}))
    tree = read_tree(results)
    assert {place(results, 0), other} <= set(tree.wrong)
    assert tree.doubts == ()


def test_two_methods_with_the_same_numbers_in_every_seed_are_in_doubt(results: Path) -> None:
    metrics = [record(BENCHMARK, "SAM", seed, score).metrics for seed in (0, 1)]
    for seed in (0, 1):
        same = record(BENCHMARK, "SAM", seed, score).method_fields
        renamed = record(BENCHMARK, "my SAM", seed, score, metrics=metrics[seed], method_fields=same)
        write_record(renamed, results)
    assert read_tree(results).twins == ()
    shutil.rmtree(place(results, 0).parents[1] / "my SAM")
    copies = [write_record(record(BENCHMARK, "ASAM", seed, score, metrics=metrics[seed]), results) for seed in (0, 1)]
    tree = read_tree(results)
    assert tree.twins == tuple((copies[seed], place(results, seed)) for seed in (0, 1))
    assert tree.alike == ()
    done = validate(results)
    assert done.exit_code == 1
    assert done.stdout.endswith("4 valid records, 1 of probes, 0 not valid, 2 with the numbers of another run\n")
    assert "every metric is that of ASAM/seed-1.json, to the last digit, and so in every seed: one of" in done.stderr
    # A third seed tells them apart.
    write_record(record(BENCHMARK, "ASAM", 2, score), results)
    assert read_tree(results).doubts == ()


REPEATED = [
    ("metrics", '"test/accuracy/letters": 12.0'),
    ("metrics", '"test/accuracy/letters" : 12.0'),
    ("passes", '"forward": 2'),
    ("", '"degenerate_steps": 0'),
]


@pytest.mark.parametrize(("field", "entry"), REPEATED)
def test_a_key_that_stands_twice_is_named(results: Path, field: str, entry: str) -> None:
    path = place(results, 1)
    opening = f'"{field}": {{' if field else "{"
    assert opening in path.read_text()
    path.write_text(path.read_text().replace(opening, f"{opening}{entry},", 1))
    key = entry.split('"')[1]
    assert read_tree(results).problems == (
        f"{path}: {key} stands 2 times in one object. Delete the file and run it again.",
    )


def test_a_key_that_stands_twice_in_a_probe_is_named(results: Path) -> None:
    path = probe_path(Run("mini", BENCHMARK, "SAM", 0), "sharpness", results)
    path.write_text(path.read_text().replace("{", '{"seconds": 1.0,', 1))
    (line,) = read_tree(results).problems
    assert (
        line == f"{path}: not readable as JSON (seconds stands 2 times in one object). Delete the file and probe again."
    )


def test_a_record_in_another_form_is_read(results: Path) -> None:
    path = place(results, 1)
    before = read_record(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    assert read_record(path) == before


def test_accuracies_in_common_are_no_doubt(results: Path) -> None:
    """They lie on a grid; one nll that differs in its last digit tells two runs apart, and so does the method."""
    with_the_numbers_of(results, 1, 0, **{"test/nll/letters": 1.0 + 2**-52})
    write_record(record(BENCHMARK, "ASAM", 2, score, metrics=record(BENCHMARK, "SAM", 0, score).metrics), results)
    assert read_tree(results).alike == ()
    for seed in (0, 1):
        with_the_numbers_of(results, seed, 0, **{"test/nll/letters": 1.0})
        content = json.loads(place(results, seed).read_text())
        content["metrics"] = {key: value for key, value in content["metrics"].items() if "/nll/" not in key}
        place(results, seed).write_text(json.dumps(content))
    assert read_tree(results).alike == ()


def test_what_does_not_train_has_no_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        made = record("m2d2-wiki", "zero-shot", 0, score)
        recipe = made.recipe | {"steps": 0}
        write_record(made.model_copy(update={"seed": seed, "recipe": recipe, "selected_step": 0}), tmp_path)
    tree = read_tree(tmp_path)
    assert (len(tree.records), tree.problems, tree.alike) == (2, (), ())


def test_a_method_of_ones_own_is_as_valid_as_its_record_tells_what_it_is(results: Path) -> None:
    """In `validate` as in the tables, which read the same folder without the library."""
    path = write_record(record(BENCHMARK, "my SAM", 0, score, method_fields=OWN), results / "own")
    assert [found.method for found in read_tree(path.parents[3]).records] == ["my SAM"]
    assert validate(path.parents[3]).stdout == f"{path.parents[3]}: 1 valid record, 0 not valid\n"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"method_fields": {"type": "Method", "ascent": None}}))
    line = f"{path}: my SAM is no method here, and its method_fields have no trust_region, penalty. Move or delete it,"
    assert [problem[: len(line)] for problem in read_tree(path.parents[3]).problems] == [line]
    assert validate(path.parents[3]).stderr.startswith(line)


def test_what_tells_a_method_are_the_fields_of_the_librarys() -> None:
    assert tuple(field.name for field in fields(Method)) == METHOD_FIELDS


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("TRAM-x@decay=often", "TRAM-x@decay=often: decay is a number (as 0.1 or 1e-05), not 'often'. "),
        ("TRAM-x@sigma=0.1", "TRAM-x@sigma=0.1: no setting 'sigma'; the nearest is "),
    ],
)
def test_a_setting_that_nothing_has_is_an_error_everywhere(results: Path, name: str, complaint: str) -> None:
    path = write_record(record(BENCHMARK, name, 0, score), results)
    (problem,) = read_tree(results).problems
    assert problem.startswith(f"{path}: {complaint}")
    assert problem in validate(results).stderr


def test_seeds_of_one_name_and_two_methods_have_no_mean(results: Path) -> None:
    other = OWN | {"penalty": 0.1}
    paths = [
        write_record(record(BENCHMARK, "my SAM", seed, score, method_fields=own), results)
        for seed, own in enumerate((OWN, OWN, other))
    ]
    tree = read_tree(results)
    assert [found.method for found in tree.records] == ["SAM", "SAM"]
    assert tree.problems == tuple(
        f"{path}: by its method_fields another method than {than}. Move or delete one of them."
        for path, than in zip(paths, (paths[2], paths[2], paths[0]), strict=True)
    )


def with_scale(name: str, seeds: int, odd: Sequence[int], folder: Path) -> list[Path]:
    """Runs of a method, the odd ones with another scale of d; the paths of these."""
    right = method_fields(resolve(name))
    other = right | {"trust_region": right["trust_region"] | {"scale": 3.0}}
    paths = [
        write_record(record(BENCHMARK, name, seed, score, method_fields=other if seed in odd else right), folder)
        for seed in range(seeds)
    ]
    return [paths[seed] for seed in odd]


@pytest.mark.parametrize("odd", [(0,), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("name", ["TRAM-x", "TRAM-x@std=0.03"])
def test_seeds_of_another_method_are_left_out_and_by_both_commands(
    name: str, odd: tuple[int, ...], tmp_path: Path
) -> None:
    """The first of five, or all: of a method with settings the library tells, which the tables ask if seeds differ."""
    expected = "".join(
        f"{path}: its method has trust_region.scale = 3.0, and {name} has 1.0. Move or delete it, and run it again.\n"
        for path in with_scale(name, 5, odd, tmp_path)
    )
    assert validate(tmp_path).stderr == expected
    asked = len(odd) == 1 or "@" not in name
    assert "".join(f"{problem}\n" for problem in read_tree(tmp_path).problems) == (expected if asked else "")


def test_without_torch_seeds_of_a_method_with_settings_that_differ_are_all_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (odd,) = with_scale("TRAM-x@std=0.03", 3, (1,), tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "benchmarks.run", raising=False)
    problems = read_tree(tmp_path).problems
    assert len(problems) == 3
    assert f"{odd}: by its method_fields another method than {odd.with_name('seed-0.json')}. Move or delete" in (
        "\n".join(problems)
    )


def test_the_runs_of_other_data_than_most_of_their_benchmark_are_named(results: Path) -> None:
    write_record(record(BENCHMARK, "ASAM", 0, score), results)
    other = write_record(record(BENCHMARK, "ASAM", 1, score, revisions={"data": "other"}), results)
    write_record(record("mini-m2d2", "SAM", 0, score, revisions={"data": "its own"}), results)
    tree = read_tree(results)
    assert tree.problems == (
        f"{other}: made from other data or another model than other runs of {BENCHMARK}, by its revisions: data. "
        "Move or delete it, and run it again.",
    )
    assert len(tree.records) == 4


def test_where_no_data_is_that_of_most_runs_none_is_believed(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_record(record(BENCHMARK, "SAM", seed, score, revisions={"data": str(seed), "torch": "2"}), tmp_path)
    tree = read_tree(tmp_path)
    assert tree.records == ()
    assert [problem.partition(" by its ")[2] for problem in tree.problems] == [
        "revisions: data. Move or delete it, and run it again."
    ] * 2


def test_a_probe_is_held_against_its_run(results: Path) -> None:
    """A run that scores otherwise than when it was probed, and one that is gone."""
    probe = probe_path(Run("mini", BENCHMARK, "SAM", 0), "sharpness", results)
    write_record(record(BENCHMARK, "SAM", 0, score, metrics=NEW_SCORES), results)
    assert read_tree(results).problems == (
        f"{probe}: the run was made anew since. Move or delete it, and probe again.",
    )
    place(results, 0).unlink()
    tree = read_tree(results)
    assert tree.problems == (
        f"{probe}: there is no valid record of its run. Make that anew first, then move or delete this one.",
    )
    assert tree.probes == ()
    assert str(probe) in validate(results).stderr


NEW_SCORES = record(BENCHMARK, "SAM", 0, score).metrics | {"test/nll/letters": 1.5}


@pytest.mark.parametrize(
    ("probe", "key", "value", "complaint"),
    [
        ("cka", "test/cka/noise", 1.01, "test/cka/noise is 1.01, and can only be between 0 and 1."),
        ("cka", "test/cka/noise", -0.01, "test/cka/noise is -0.01, and can only be between 0 and 1."),
        ("cka", "test/cka/moon", 0.5, "it has test/cka/moon, and the domains are letters, "),
        ("cka", "test/cka/noise", None, "no test/cka/noise."),
        ("sharpness", "test/sharpness/noise", -101.0, "test/sharpness/noise is -101.0, and can only be between -100"),
        ("sharpness", "test/sharpness/letters", None, "no test/sharpness/letters."),
        ("forgetting", "weights/distance/all", -1.0, "weights/distance/all is -1.0, and can only be between 0 and inf"),
        ("spectrum", "test/eigenvalue-1/letters", None, "no test/eigenvalue-1/letters."),
    ],
)
def test_what_no_probe_measures_is_named(probe: str, key: str, value: float | None, complaint: str) -> None:
    sound = probe_of(record(BENCHMARK, "SAM", 0, score), probe)
    assert probe_contradiction(sound) is None
    metrics = {name: found for name, found in (sound.metrics | {key: value}).items() if found is not None}
    assert f"{probe_contradiction(sound.model_copy(update={'metrics': metrics}))}.".startswith(complaint)


def test_rounding_may_take_cka_beyond_1_and_an_ascent_may_miss() -> None:
    for probe, value in (("cka", 1 + 1e-9), ("sharpness", -0.5)):
        sound = probe_of(record(BENCHMARK, "SAM", 0, score), probe)
        metrics = sound.metrics | {f"test/{probe}/noise": value}
        assert probe_contradiction(sound.model_copy(update={"metrics": metrics})) is None


@pytest.mark.parametrize(
    ("key", "value", "possible"),
    [
        ("test/accuracy/noise", -0.1, False),
        ("test/accuracy/noise", 0.0, True),
        ("test/accuracy/noise", 100.0, True),
        ("test/accuracy/noise", 100.1, False),
        ("test/nll/noise", -0.1, False),
        ("test/nll/noise", 0.0, True),
        ("test/perplexity/noise", 0.99, False),
        ("test/perplexity/noise", 1.0, True),
    ],
)
def test_scores_lie_where_scores_can(key: str, value: float, possible: bool) -> None:
    assert (_impossible({key: value}) is None) == possible


def test_a_surface_is_of_the_rows_domains() -> None:
    sound = probe_of(record(BENCHMARK, "SAM", 0, score), "surface-line")
    assert probe_contradiction(sound) is None
    assert sound.surface is not None
    losses = {"moon": next(iter(sound.surface.losses.values()))}
    strange = sound.model_copy(update={"surface": sound.surface.model_copy(update={"losses": losses})})
    assert str(probe_contradiction(strange)).startswith("it has surface/nll/moon, and the domains are")
    assert probe_contradiction(sound.model_copy(update={"surface": None})) == "no surface"


def test_a_file_beside_a_record_that_is_no_curve_is_named_and_the_record_kept(results: Path) -> None:
    curve_path(place(results, 0)).write_text('{"step": 1, "loss": 2.0}\n')
    path = curve_path(place(results, 1))
    path.write_text("garbage")
    tree = read_tree(results)
    (line,) = tree.problems
    assert line.startswith(f"{path}: not a curve (Invalid JSON")
    assert line.endswith(". Delete it and its record, and run it again.")
    assert [found.seed for found in tree.records] == [0, 1]


def test_a_copy_is_named_and_counted_once(results: Path) -> None:
    kept, copy = place(results, 0), place(results / "backup", 0)
    copy.parent.mkdir(parents=True)
    shutil.copy(kept, copy)
    tree = read_tree(results)
    assert tree.problems == (f"{copy}: a copy of {kept}. Delete it.",)
    assert [found.seed for found in tree.records] == [0, 1]


def test_of_two_that_differ_none_is_believed(results: Path) -> None:
    write_record(record(BENCHMARK, "SAM", 0, lambda *_: 99.0), results / "other")
    tree = read_tree(results)
    assert [found.seed for found in tree.records] == [1]
    assert len(tree.problems) == 3  # and the probe of the run
    for path in (place(results, 0), place(results / "other", 0)):
        assert any(line.startswith(f"{path}: the run of ") and "other content" in line for line in tree.problems)


def test_probes_are_held_against_the_registry_and_counted_once(results: Path) -> None:
    write_probe_record(probe_of(record(BENCHMARK, "SAM", 0, score), "sharpness"), results / "copied")
    unknown = probe_of(record(BENCHMARK, "SAM", 0, score), "sharpness").model_copy(update={"benchmark": "mini-gone"})
    write_probe_record(unknown, results)
    tree = read_tree(results)
    assert len(tree.probes) == 1
    first, second = sorted(tree.problems, key=lambda line: "copy" in line)
    assert "unknown benchmark 'mini-gone'" in first
    assert "a copy of" in second


def test_the_schema_names_every_field(results: Path) -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    assert set(schema["required"]) == set(schema["properties"]) == set(Record.model_fields)
    recipe_fields = {field.name for field in fields(Recipe)}
    assert set(schema["properties"]["recipe"]["required"]) == recipe_fields
    assert set(schema["properties"]["recipe"]["properties"]) == recipe_fields
    assert schema["properties"]["environment"]["required"] == list(ENVIRONMENT)
    assert schema["properties"]["schema_version"]["const"] == 2


def test_a_record_of_this_code_fits_its_own_row() -> None:
    assert contradiction(record(BENCHMARK, "SAM", 0, score)) is None
    written = record(BENCHMARK, "SAM", 0, score)
    assert read_record_again(written) == written
    assert set(asdict(written.run)) == {"suite", "benchmark", "method", "seed"}


def test_the_model_before_training_has_no_steps() -> None:
    trained = record("m2d2-wiki", "Adam", 0, score)
    assert contradiction(trained) is None
    untrained = trained.model_copy(
        update={"method": "zero-shot", "passes": Passes(forward=0, backward=0), "selected_step": 0}
    )
    assert contradiction(untrained) == f"its recipe has steps = {trained.recipe['steps']}, and m2d2-wiki has 0"
    assert contradiction(untrained.model_copy(update={"recipe": trained.recipe | {"steps": 0}})) is None


def read_record_again(written: Record) -> Record:
    return Record.model_validate_json(written.model_dump_json())


def test_reading_says_what_is_unreadable(results: Path) -> None:
    place(results, 0).unlink()
    place(results, 0).mkdir()
    with pytest.raises(Exception, match=r"seed-0\.json: not readable \(Is a directory\)"):
        read_record(place(results, 0))


@pytest.mark.parametrize("command", ["validate", "migrate"])
def test_a_folder_without_records_is_none_to_check(command: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, [command, str(tmp_path)])
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == f"Error: no records below {tmp_path}. Run `make reproduce` first, or name another folder.\n"


def test_what_has_no_name_of_a_record_is_named(results: Path) -> None:
    """Not what lies beside the suites, and not what tools keep in hidden folders."""
    for name in ("conformance.json", "performance/cpu.json", "mini/.ledger/notes.json"):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_text("{}")
    strays = [results / "mini" / name for name in (f"{BENCHMARK}/SAM/Seed-5.json", f"{BENCHMARK}/b.JSON", "stray.json")]
    for path in strays:
        path.write_text("{}")
    line = "no record of a run has such a name. Move or delete it."
    assert sorted(read_tree(results).problems) == sorted(f"{path}: {line}" for path in strays)
    assert sorted(read_tree(results / "mini").problems) == sorted(f"{path}: {line}" for path in strays)
