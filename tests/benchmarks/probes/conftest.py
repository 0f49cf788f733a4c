"""The tiny benchmarks in the registry of this process, and a cache of each test's own."""

from pathlib import Path

import pytest

from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES
from tests.benchmarks import tiny_rows


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for row in tiny_rows.ROWS:
        monkeypatch.setitem(BENCHMARKS, row.name, row)
    monkeypatch.setitem(SUITES, "tiny", tiny_rows.SUITE)
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path / "cache"))
