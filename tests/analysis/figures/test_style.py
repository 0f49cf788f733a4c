"""One look per method: told apart by everyone, and the same in every figure."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colors, rc_context, rcParams

from analysis.figures.style import BETTER, METHOD_STYLES, STYLE, WORSE, method_handles, styled, styles_of
from benchmarks.registry import PASSES, PLAIN

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color: str, blindness: str) -> np.ndarray:
    """CIE L*a*b* of the colour as it is seen."""
    rgb = np.array(colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(BLINDNESS[blindness] @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = [each ** (1 / 3) if each > 0.008856 else 7.787 * each + 16 / 116 for each in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_method_has_a_look() -> None:
    assert {*PASSES, "zero-shot"} == METHOD_STYLES.keys()


def test_markers_alone_tell_methods_apart() -> None:
    looks = [(style.marker, style.hollow) for name, style in METHOD_STYLES.items() if name != "Adam"]
    assert len(set(looks)) == len(looks)


def test_lines_alone_tell_methods_apart() -> None:
    """But for the combinations, which share the grey, each with the line of its trust region."""
    looks = [(style.color, style.line) for name, style in METHOD_STYLES.items() if name not in PLAIN]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_stay_apart_for_every_eye(blindness: str) -> None:
    """A difference of about 2 can just be seen; lines of equal dashes need more, as they have nothing else."""
    by_line: dict[str, set[str]] = {}
    for style in METHOD_STYLES.values():
        by_line.setdefault(style.line, set()).add(style.color)
    for own in by_line.values():
        for first, second in combinations(sorted(own), 2):
            assert np.linalg.norm(lab(first, blindness) - lab(second, blindness)) > 18, (first, second)
    assert np.linalg.norm(lab(BETTER, blindness) - lab(WORSE, blindness)) > 30


def test_text_is_never_too_small_to_print() -> None:
    sizes = [value for key, value in STYLE.items() if key.endswith("size") and not key.startswith(("x", "y", "lines"))]
    assert min(sizes) >= 7
    assert STYLE["xtick.labelsize"] >= 7


def test_a_method_with_settings_has_its_methods_colour_and_a_look_of_its_own() -> None:
    names = [*PASSES, "TRAM-x@std=0.03", "TRAM-x@std=0.3", "TRAM-prev@decay=0.9", "of my own"]
    styles = styles_of(names)
    assert styles["TRAM-x@std=0.03"].color == styles["TRAM-x"].color
    looks = [(style.marker, style.hollow) for name, style in styles.items() if name != "Adam"]
    assert len(set(looks)) == len(looks)
    assert list(styles)[11:] == [
        "TRAM-prev",
        "TRAM-prev@decay=0.9",
        "TRAM-pre",
        "TRAM-x",
        "TRAM-x@std=0.03",
        "TRAM-x@std=0.3",
        "TRAM-Fisher",
        "TRAM-x-MMD",
        "TRAM-x-L2",
        "of my own",
    ]


def test_both_base_optimizers_share_an_entry() -> None:
    assert [handle.get_label() for handle in method_handles(["SAM", "Adam", "SGD"])] == ["SGD, Adam", "SAM"]
    assert [handle.get_label() for handle in method_handles(["SAM", "Adam"])] == ["Adam", "SAM"]


def test_the_callers_settings_of_matplotlib_neither_matter_nor_change() -> None:
    with rc_context({"lines.linewidth": 9, "axes.facecolor": "red"}):

        @styled
        def look() -> tuple[float, str]:
            return rcParams["lines.linewidth"], rcParams["axes.facecolor"]

        assert look() == (STYLE["lines.linewidth"], "white")
        assert rcParams["lines.linewidth"] == 9
