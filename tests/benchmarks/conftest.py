"""Processes of their own that know the tiny benchmarks: Python imports `sitecustomize` when it starts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import Hub, point_to

ROOT = Path(__file__).parents[2]


@pytest.fixture
def python_with_tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which any `python`, workers included, has the tiny rows in its registry."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text("from tests.benchmarks.tiny_rows import install\ninstall()\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TINY_")}
    return environment | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "TRAM_CACHE": str(folder / "cache")}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this test alone, whose repositories lie in `hub.root`; data are prepared in the folder `data`."""
    with Hub(tmp_path / "hub") as running:
        point_to(running, tmp_path / "data", monkeypatch)
        yield running
