"""Methods by name: what a setting changes, and what every wrong name is answered with."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bound import BOUNDS, ByValidation, Scheduled
from benchmarks.methods import Resolved, resolve
from benchmarks.registry import BENCHMARKS, PASSES
from benchmarks.variants import SETTINGS, UnknownMethodError, parse, passes_of, runs_on
from tram import METHODS, MMD, Fisher, NoisyInput, PastWeights, Renyi


@pytest.mark.parametrize("name", METHODS)
def test_a_name_without_settings_is_the_row(name: str) -> None:
    assert resolve(name) == Resolved(METHODS[name])
    assert passes_of(name) == PASSES[name]


def test_settings_change_their_field_and_no_other() -> None:
    noisy, past = METHODS["TRAM-x"], METHODS["TRAM-prev"]
    assert noisy.trust_region is not None
    assert past.trust_region is not None
    region, previous = noisy.trust_region, past.trust_region
    expected = {
        "TRAM-x@std=0.03": replace(noisy, trust_region=replace(region, reference=NoisyInput(0.03))),
        "TRAM-x@relative=true": replace(noisy, trust_region=replace(region, reference=NoisyInput(0.1, relative=True))),
        "TRAM-x@divergence=mmd": METHODS["TRAM-x-MMD"],
        "TRAM-x-L2@divergence=kl": noisy,
        "TRAM-prev@divergence=renyi@maximum=0.5": replace(
            past, trust_region=replace(previous, divergence=Renyi(), maximum=0.5)
        ),
        "TRAM-prev@decay=1": METHODS["TRAM-pre"],
        "TRAM-prev@decay=0.999@dropout=shared": replace(
            past, trust_region=replace(previous, reference=PastWeights(0.999, "shared"))
        ),
        "TRAM-pre@scale=100@floor=0.01": replace(
            past, trust_region=replace(previous, reference=PastWeights(1.0), scale=100.0, floor=0.01)
        ),
        "TRPO@reduction=released": replace(
            METHODS["TRPO"], trust_region=replace(previous, reduction="released")
        ),
        "R3F@penalty=1": replace(METHODS["R3F"], penalty=1.0),
        "SAM@rho=0.1": replace(METHODS["SAM"], ascent=replace(METHODS["SAM"].ascent, radius=0.1)),
        "FSAM@eta=1": replace(METHODS["FSAM"], ascent=replace(METHODS["FSAM"].ascent, geometry=Fisher(1.0))),
        "TRAM-Fisher@std=0.3": replace(
            METHODS["TRAM-Fisher"], ascent=replace(METHODS["TRAM-Fisher"].ascent, noise_std=0.3)
        ),
        "ASAM+MESA@decay=0.9": replace(
            METHODS["ASAM+MESA"], trust_region=replace(previous, reference=PastWeights(0.9))
        ),
    }  # fmt: skip
    assert isinstance(METHODS["TRAM-x-MMD"].trust_region.divergence, MMD)
    for name, method in expected.items():
        assert resolve(name) == Resolved(method), name
        assert resolve(name).method.passes == METHODS[parse(name).base].passes, name


def test_what_moves() -> None:
    assert resolve("TRAM-x@scale=rise") == Resolved(METHODS["TRAM-x"], scale=Scheduled(0.01, 1.0))
    resolved = resolve("TRAM-prev@maximum=validation")
    assert resolved.maximum == ByValidation()
    assert resolved.method == resolve("TRAM-prev@maximum=0.5").method


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TRAMx", "the nearest is 'TRAM-x'"),
        ("zero-shoot", "the nearest is 'zero-shot'"),
        ("zero-shot@std=1", "does not train"),
        ("TRAM-x@sdt=1", "no setting 'sdt'; the nearest is 'std'"),
        ("TRAM-x@std", "std is a number"),
        ("TRAM-x@std=a", "not 'a'"),
        ("TRAM-x@std=0.030", "not '0.030'"),
        ("TRAM-x@std=inf", "not 'inf'"),
        ("TRAM-x@std=-1", "needs std >= 0"),
        ("TRAM-x@std=1@std=2", "std is set twice"),
        ("TRAM-x@divergence=kul", "kl or reverse-kl"),
        ("TRAM-x@decay=1", "TRAM-x has no decay"),
        ("TRAM-x@scale=0", "needs scale > 0"),
        ("TRAM-prev@std=1", "TRAM-prev has no std"),
        ("TRAM-prev@maximum=-1", "needs maximum to be None or a number >= floor"),
        ("TRAM-prev@rho=1", "TRAM-prev has no rho"),
        ("SAM@std=1", "SAM has no std"),
        ("SAM@scale=rise", "SAM has no scale that could be rise"),
        ("TRPO@maximum=fall", "TRPO has no maximum that could be fall"),
        ("Adam@penalty=1", "Adam has no penalty"),
        ("R3F@penalty=0", "R3F has no penalty that could be 0"),
        ("SAM@eta=1", "SAM has no eta"),
    ],
)
def test_wrong_names_are_answered(name: str, message: str) -> None:
    with pytest.raises(UnknownMethodError, match=message):
        resolve(name)


def test_no_setting_changes_the_passes() -> None:
    values = {"number": "0.5", "rise": "rise"}
    for base in METHODS:
        for setting, choices in SETTINGS.items():
            try:
                resolved = resolve(f"{base}@{setting}={values.get(choices[0], choices[-1])}")
            except UnknownMethodError:
                continue
            assert resolved.method.passes == METHODS[base].passes


def test_a_benchmark_runs_its_own_plain_method_and_zero_shot_where_the_head_is_there() -> None:
    assert runs_on("Adam", BENCHMARKS["xnli"])
    assert not runs_on("SGD", BENCHMARKS["xnli"])
    assert not runs_on("zero-shot", BENCHMARKS["xnli"])
    assert runs_on("zero-shot", BENCHMARKS["m2d2-s2orc-xl"])
    assert runs_on("TRAM-x@std=0.3", BENCHMARKS["vision-cars"])


# ------------------------------------------------------------------------------------------------------ moving bounds


def test_scheduled_bounds_go_in_a_straight_line() -> None:
    rise, fall = BOUNDS["rise"], BOUNDS["fall"]
    assert [rise.factor(step, 5, []) for step in range(1, 6)] == pytest.approx([0.01, 0.2575, 0.505, 0.7525, 1.0])
    assert [fall.factor(step, 5, []) for step in range(1, 6)] == pytest.approx([1.0, 0.7525, 0.505, 0.2575, 0.01])
    assert rise.factor(1, 1, []) == 0.01


def test_validation_widens_what_helps_and_narrows_what_does_not() -> None:
    bound = ByValidation(widen=2.0, narrow=0.5, least=0.25, most=8.0)
    nll = [3.0, 2.0, 2.5, 2.0, 1.0]
    assert [bound.factor(9, 9, nll[:count]) for count in range(6)] == [1.0, 2.0, 4.0, 2.0, 1.0, 2.0]


@given(st.lists(st.floats(0, 10), max_size=60))
def test_a_bound_by_validation_stays_within_its_limits(nll: list[float]) -> None:
    bound = ByValidation(least=0.1, most=10.0)
    assert 0.1 <= bound.factor(1, 1, nll) <= 10.0
