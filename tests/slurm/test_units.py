"""Times and memory as Slurm writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.units import mebibytes_in, memory_text, seconds_in, time_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1_800),
        ("30:15", 1_815),
        ("1:00:00", 3_600),
        ("01:02:03", 3_723),
        ("100:00:00", 360_000),
        ("2-12", 216_000),
        ("2-12:30", 217_800),
        ("1-00:00:01", 86_401),
    ],
)
def test_every_way_that_slurm_writes_a_time(text: str, seconds: int) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "1h", "1:2:3:4", "-5", "1-", "1.5", "12:00:00 h", "0", "0-00:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="no time"):
        seconds_in(text)


@given(st.integers(1, 10**7))
def test_a_time_that_is_written_is_read_as_itself(seconds: int) -> None:
    assert seconds_in(time_text(seconds)) == seconds


def test_times_are_written_in_full() -> None:
    assert [time_text(seconds) for seconds in (1, 90, 86_399, 86_400)] == [
        "00:00:01",
        "00:01:30",
        "23:59:59",
        "1-00:00:00",
    ]


@pytest.mark.parametrize(
    ("text", "mebibytes"), [("4096", 4_096), ("512M", 512), ("64G", 65_536), ("1T", 2**20), ("2048K", 2)]
)
def test_every_way_that_slurm_writes_memory(text: str, mebibytes: int) -> None:
    assert mebibytes_in(text) == mebibytes


@pytest.mark.parametrize("text", ["", "64GB", "4 G", "1.5G", "-1", "0"])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(ValueError, match="no amount of memory"):
        mebibytes_in(text)


@given(st.integers(1, 10**8))
def test_memory_that_is_written_is_read_as_itself(mebibytes: int) -> None:
    assert mebibytes_in(memory_text(mebibytes)) == mebibytes
