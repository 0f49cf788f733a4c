"""The regression check against records written by hand, and once against this machine."""

from pathlib import Path

import pytest

from benchmarks.errors import RunError
from benchmarks.performance import check
from benchmarks.performance.check import Bound, _more_counted, _slower_steps, slower
from benchmarks.performance.command import measure
from benchmarks.performance.record import Counts, ModelCost, Performance, Ratio, StepCost, read_performance


def model(**over_floor: float) -> ModelCost:
    steps = {
        name: StepCost(
            seconds=value,
            over_floor=Ratio(median=value, low=value, high=value),
            over_passes=None,
            over_adam=Ratio(median=value, low=value, high=value),
            kept_bytes_per_parameter=None,
            peak_bytes=None,
            passes=(0, 2),
        )
        for name, value in over_floor.items()
    }
    return ModelCost(
        model="m", kind="ViT", parameters=1, precision="float32", examples=1, length=1, micro_batches=1, rounds=1,
        logits=1, forward_flops=1, passes_seconds={}, steps=steps,
    )  # fmt: skip


def record(*parts: ModelCost | Counts) -> Performance:
    return Performance(
        machine="x", clock="", environment={}, commits={}, parts={str(i): part for i, part in enumerate(parts)}
    )


def test_what_got_slower_is_named_with_both_numbers() -> None:
    stored = record(model(SAM=1.02, ASAM=1.10))
    assert Bound().limit(1.02) == pytest.approx(1.08)
    assert Bound().limit(0.99) == pytest.approx(1.04)
    assert list(_slower_steps(stored, model(SAM=1.079, ASAM=1.19), Bound())) == []
    lines = list(_slower_steps(stored, model(SAM=1.081, ASAM=1.10, new=9.0), Bound()))
    assert lines == ["SAM on m: 1.081 times its passes, and it was 1.020 (at most 1.080)"]
    with pytest.raises(RunError, match="has no m"):
        list(_slower_steps(record(), model(SAM=1.0), Bound()))


def test_waits_and_launches_are_compared() -> None:
    before = Counts(tensors=(1, 2), host_waits={"SAM": 0, "R3F": 0}, launches={"SAM": (10, 10), "R3F": (10, 10)})
    now = Counts(tensors=(1, 2), host_waits={"SAM": 1, "R3F": 0}, launches={"SAM": (10, 12), "R3F": (10, 13)})
    assert list(_more_counted(record(before), before)) == []
    assert list(_more_counted(record(before), now)) == [
        "SAM waits 1 times a step for its device, and did 0 times",
        "R3F launches 13 operators beyond its passes, and did 10",
    ]


def test_against_a_record_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "counts", lambda *_: Counts(tensors=(1,), host_waits={}, launches={}))
    with pytest.raises(RunError, match="nothing to compare with"):
        slower("tiny", tmp_path)
    path = measure("tiny", tmp_path, ("ViT, tiny, float32",), again=False)
    stored = read_performance(path)
    (cost,) = stored.of(ModelCost)
    roomy = Bound(of_step=100.0)
    assert slower("tiny", tmp_path, roomy) == []
    faster = {name: step.model_copy(update={"over_passes": Ratio(median=0.1, low=0.1, high=0.1)})
              for name, step in cost.steps.items()}  # fmt: skip
    path.write_text(
        stored.model_copy(update={"parts": {"m": cost.model_copy(update={"steps": faster})}}).model_dump_json()
    )
    assert {line.partition(" on ")[0] for line in slower("tiny", tmp_path)} >= {"SAM", "TRAM-x"}
