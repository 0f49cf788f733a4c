"""A small suite whose every number can be worked out by hand."""

from pathlib import Path

import pytest

from tests.analysis.synthetic import write_tree

_GAINS = {
    "SGD": (0.0, 0.0, 0.0),
    "Adam": (0.0, 0.0, 0.0),
    "SAM": (1.0, 1.1, 1.2),
    "R3F": (1.0, -1.0, 0.0),
    "TRAM-x": (-1.0, -1.1, -1.2),
}


def hand_score(method: str, seed: int, domain: str) -> float:
    """50 + seed, a gain per method and seed, and the length of the domain's name."""
    return 50 + seed + _GAINS[method][seed] + len(domain)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Three seeds of five methods in vision and language, but only two of TRAM-x in vision."""
    folder = tmp_path / "results"
    write_tree(folder, {"mini-vision-letters": ("SGD", "SAM", "R3F")}, range(3), hand_score)
    write_tree(folder, {"mini-vision-letters": ("TRAM-x",)}, range(2), hand_score)
    return write_tree(folder, {"mini-m2d2": ("Adam", "SAM", "R3F", "TRAM-x")}, range(3), hand_score)
