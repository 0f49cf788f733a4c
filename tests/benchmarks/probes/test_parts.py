"""Which part of a grid falls to whom."""

import pytest

from benchmarks.probes.parts import Part, part_named


@pytest.mark.parametrize(("size", "count"), [(10, 3), (7, 7), (3, 5), (100, 1)])
def test_parts_cover_everything_once_and_are_as_large_as_each_other(size: int, count: int) -> None:
    parts = [list(Part(number, count).of(size)) for number in range(1, count + 1)]
    assert sorted(index for part in parts for index in part) == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_part_is_named_or_that_of_a_slurm_array_or_all() -> None:
    array = {
        "SLURM_ARRAY_TASK_ID": "14",
        "SLURM_ARRAY_TASK_MIN": "10",
        "SLURM_ARRAY_TASK_STEP": "2",
        "SLURM_ARRAY_TASK_COUNT": "4",
    }
    assert part_named("2/8", array) == Part(2, 8)
    assert part_named(None, array) == Part(3, 4)
    assert part_named(None, {"SLURM_JOB_ID": "5"}) == Part(1, 1)
    # An array that starts at 0, as most do.
    plain = {
        "SLURM_ARRAY_TASK_ID": "0",
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_STEP": "1",
        "SLURM_ARRAY_TASK_COUNT": "3",
    }
    assert part_named(None, plain) == Part(1, 3)


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "-1/2", "a/b", "1/2/3", "1/0", "1.5/2"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"give I/N"):
        part_named(text, {})
