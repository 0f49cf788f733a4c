"""Targets and the model of the cost on records written by hand, and against closed forms."""

import pytest

from analysis.performance.model import BYTES_OF_LOGIT, COPY, EXCHANGE, Gpus, Job, checked, forecast
from analysis.performance.targets import KEPT, TARGETS
from benchmarks.performance.record import (
    Counts,
    DistanceCost,
    ModelCost,
    Part,
    Performance,
    Ratio,
    StepCost,
    WeightWork,
)

WORK = WeightWork(
    parameters=1000,
    seconds={COPY: 1.0, EXCHANGE: 6.0, "ascent of SAM": 3.0, "ascent of ASAM": 5.0, "ascent of FSAM": 7.0},
    bytes_per_parameter={
        COPY: 8.0,
        EXCHANGE: 48.0,
        "ascent of SAM": 32.0,
        "ascent of ASAM": 60.0,
        "ascent of FSAM": 92.0,
    },
)
DISTANCE = DistanceCost(
    model="GPT-2", rows=10, vocabulary=50_257, seconds=2.0, forward_seconds=50.0, extra_peak_bytes=1000,
    gradient_seconds=5.0, gradient_peak_bytes=8000, logits_bytes=4000, pieces={},
)  # fmt: skip
OF_D = 500 * 2.0 / (10 * 50_257)
"""Seconds of d for the 500 logits of `model`."""


def step(seconds: float, over_floor: float, passes: tuple[int, int] = (0, 2), kept: float | None = 4.0) -> StepCost:
    ratio = Ratio(median=over_floor, low=over_floor, high=over_floor)
    return StepCost(
        seconds=seconds, over_floor=ratio, over_passes=None, over_adam=ratio, passes=passes,
        kept_bytes_per_parameter=kept, peak_bytes=1,
    )  # fmt: skip


def model(parameters: int = 20_000_000, **steps: StepCost) -> ModelCost:
    return ModelCost(
        model="big", kind="GPT-2", parameters=parameters, precision="float32", examples=1, length=1, micro_batches=1,
        rounds=1, logits=500, forward_flops=1, steps={name.replace("_", "-"): cost for name, cost in steps.items()},
        passes_seconds={"ungraded": 10.0, "graded": 30.0, "update": 5.0},
    )  # fmt: skip


def record(*parts: Part) -> Performance:
    return Performance(
        machine="x", clock="", environment={}, commits={}, parts={str(i): part for i, part in enumerate(parts)}
    )


def verdicts(*parts: Part) -> dict[str, tuple[str, str, bool] | None]:
    found = {target.what: target.find(record(*parts)) for target in TARGETS}
    return {what: None if one is None else (one.text, one.where, one.holds) for what, one in found.items()}


FLOOR, PEERS, PREV, CACHED, COPIES, PEAK, TIME, WAITS, LAUNCHES = (target.what for target in TARGETS)


def test_an_empty_record_judges_nothing() -> None:
    assert set(verdicts().values()) == {None}


def test_the_floor_is_judged_by_the_worst_step_of_a_large_model() -> None:
    small = model(parameters=9_000_000, SAM=step(1.0, 2.0))
    assert verdicts(small, model(SAM=step(1.0, 1.01), FSAM=step(1.0, 1.03)))[FLOOR] == ("1.030", "FSAM, big", True)
    assert verdicts(small, model(SAM=step(1.0, 1.031)))[FLOOR] == ("1.031", "SAM, big", False)


def test_sam_is_judged_by_the_best_of_its_peers() -> None:
    """All make the same two passes, so that what each takes beyond them decides."""
    both = model(SAM=step(9.0, 1.125))
    peers = {"pytorch_optimizer SAM": step(10.0, 1.25), "two-call SAM": step(20.0, 2.5)}
    both = both.model_copy(update={"steps": {**both.steps, **peers}})
    assert verdicts(both)[PEERS] == ("0.900", "SAM, big; its passes alone 0.800", True)
    slow = both.model_copy(update={"steps": {**both.steps, "two-call SAM": step(9.0, 1.125)}})
    assert verdicts(slow)[PEERS] == ("1.000", "SAM, big; its passes alone 0.889", False)
    assert verdicts(both)[FLOOR] == ("1.125", "SAM, big", False)


def test_passes_timed_within_a_step_go_before_those_timed_alone() -> None:
    within = Ratio(median=1.02, low=1.0, high=1.04)
    both = model(SAM=step(1.0, 1.5).model_copy(update={"over_passes": within}))
    assert both.over("SAM") == within
    assert verdicts(both)[FLOOR] == ("1.020", "SAM, big", True)


def test_trust_regions_are_judged_by_sam() -> None:
    """By their passes and what each takes beyond them: 75 s against 65 s, and 65 s both."""
    found = verdicts(model(SAM=step(10.0, 1.0), TRAM_prev=step(12.1, 1.05, passes=(1, 2))))
    assert found[PREV] == (f"{75 / 65 * 1.05:.3f}", "big", False)
    assert found[CACHED] is None
    kept = model(SAM=step(10.0, 1.0))
    kept = kept.model_copy(update={"steps": {**kept.steps, KEPT: step(10.1, 1.01)}})
    assert verdicts(kept)[CACHED] == ("1.010", "big", True)


def test_copies_of_the_weights() -> None:
    assert verdicts(model(SAM=step(1.0, 1.0, kept=4.02), R3F=step(1.0, 1.0, kept=0.0)))[COPIES] == ("as many", "", True)
    # A copy, and 500 logits for 1,000 parameters, which are what is to be kept.
    cached = model(parameters=1000).model_copy(update={"steps": {KEPT: step(1.0, 1.0, kept=4.0 + 4 * 0.5)}})
    assert verdicts(cached)[COPIES] == ("as many", "", True)
    assert verdicts(model(R3F=step(1.0, 1.0, kept=4.0)))[COPIES] == ("1.00 more", "R3F, big", False)


def test_the_distance_is_held_against_a_forward_and_a_whole_batch_of_logits() -> None:
    found = verdicts(DISTANCE)
    assert found[TIME] == ("4.0%", "GPT-2", True)
    assert found[PEAK] == ("0.00%", "GPT-2", True)
    whole = 16 * 1024 * 50_257 * 4
    dear = verdicts(DISTANCE.model_copy(update={"seconds": 2.6, "extra_peak_bytes": 0.1068 * whole}))
    assert dear[TIME] == ("5.2%", "GPT-2", False)
    assert dear[PEAK] == ("10.68%", "GPT-2", False)
    assert verdicts(DISTANCE.model_copy(update={"extra_peak_bytes": 0.0916 * whole}))[PEAK] == ("9.16%", "GPT-2", True)
    assert verdicts(DISTANCE.model_copy(update={"vocabulary": 101}))[TIME] is None


def test_waits_and_launches() -> None:
    counts = Counts(tensors=(64, 128), host_waits={"SAM": 0, "R3F": 2}, launches={"SAM": (9, 9), "R3F": (9, 73)})
    assert verdicts(counts)[WAITS] == ("2", "R3F", False)
    assert verdicts(counts)[LAUNCHES] == ("1.00 for each further weight", "R3F", False)
    fine = Counts(tensors=(64, 128), host_waits={"SAM": 0}, launches={"SAM": (9, 9)})
    assert verdicts(fine)[WAITS] == ("0", "", True)
    assert verdicts(fine)[LAUNCHES] == ("constant", "", True)


def test_the_model_adds_weights_and_logits_to_the_floor() -> None:
    """By hand: SAM copies twice and ascends, (2 + 3) / 1000 s a weight; d is 4 µs a logit, of which there are 500."""
    measured = model(parameters=1000, SAM=step(1.0, 1.1), TRAM_prev=step(1.0, 1.2, passes=(1, 2)))
    found = {one.method: one for one in checked(record(WORK, DISTANCE, measured))}
    assert found["SAM"].predicted == pytest.approx(1 + 5 / 65)
    # Two copies and the exchange's six, ASAM's ascent, and d.
    assert found["TRAM-prev"].predicted == pytest.approx(1 + (8 + 5 + OF_D) / 75)
    assert (found["SAM"].measured, found["TRAM-prev"].measured) == (1.1, 1.2)
    assert checked(record(WORK, measured)) == []


def test_the_batch_that_is_large_enough_is_where_the_model_says_the_limit() -> None:
    """A step over its floor of a batch n times as large, by the parts that grow with it, is 1.03 exactly.

    Measured are 1.1 times 65 s, and 1.2 times 75 s of which d is a part.
    """
    measured = model(parameters=1000, SAM=step(1.0, 1.1), TRAM_prev=step(1.0, 1.2, passes=(1, 2)))
    larger = measured.model_copy(update={"examples": 50, "length": 2})
    found = {one.method: one for one in checked(record(WORK, DISTANCE, larger))}
    assert found["SAM"].tokens == 100
    assert found["SAM"].enough is not None
    times = found["SAM"].enough / 100
    assert 6.5 / (60 * times + 5) == pytest.approx(0.03)
    assert found["TRAM-prev"].enough is not None
    times = found["TRAM-prev"].enough / 100
    assert (15 - OF_D + times * OF_D) / (70 * times + 5) == pytest.approx(0.03)
    images = larger.model_copy(update={"kind": "ViT", "examples": 3, "length": 32})
    assert {one.tokens for one in checked(record(WORK, DISTANCE, images))} == {3 * 5}
    many = larger.model_copy(update={"logits": 50_000_000})
    assert {one.method: one.enough for one in checked(record(WORK, DISTANCE, many))}["TRAM-prev"] is None


def test_the_forecast_is_its_closed_form() -> None:
    gpus = Gpus("x", matrix_flops=6.0, memory_bytes=2.0, link_bytes=1e12, near_bytes=1e12, node=8)
    job = Job(parameters=3.0, tokens=4, vocabulary=0)
    # A forward is 2 * 3 * 4 / 6 = 4 s, a pass with its backward three times that; the update 28 * 3 / N / 2 s.
    alone = forecast(job, gpus, 1, "SAM", (0, 2), WORK)
    assert alone.seconds == pytest.approx(24 + 42 + 3 * (16 + 32) / 2)
    assert alone.over_adam == pytest.approx(alone.seconds / (12 + 42))
    assert alone.added == pytest.approx(72 / alone.seconds)
    assert alone.bytes_per_gpu == 4 * 3 * 5
    four = forecast(job, gpus, 4, "SAM", (0, 2), WORK)
    assert four.seconds == pytest.approx(24 + 42 / 4 + 72 / 4)
    assert four.bytes_per_gpu == 4 * 3 * 5 / 4
    words = Job(parameters=3.0, tokens=4, vocabulary=10)
    previous = forecast(words, gpus, 1, "TRAM-prev", (1, 2), WORK)
    assert previous.seconds == pytest.approx(28 + 42 + 3 * (16 + 60 + 48) / 2 + 40 * BYTES_OF_LOGIT / 2)


def test_slow_links_hide_the_passes() -> None:
    gpus = Gpus("x", matrix_flops=1e30, memory_bytes=1e30, link_bytes=1.0, near_bytes=2.0, node=2)
    job = Job(parameters=8.0, tokens=4, vocabulary=10)
    # Of eight weights, 7/8 come from others: two bytes each for a forward, eight for a pass with its backward.
    assert forecast(job, gpus, 8, "TRAM-x", (1, 2), WORK).seconds == pytest.approx(7 * (2 + 2 * 8))
    # Within a node half come from the other, over a link twice as fast.
    assert forecast(job, gpus, 2, "TRAM-x", (1, 2), WORK).seconds == pytest.approx(4 * (2 + 2 * 8) / 2)
    assert forecast(job, gpus, 8, "SAM", (0, 2), WORK).over_adam == pytest.approx(2.0)
