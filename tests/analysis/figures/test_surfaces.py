"""Surfaces: what is drawn where, on one scale, against paraboloids whose every height is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from numpy.typing import NDArray

from analysis.figures import Material, NothingToDrawError
from analysis.figures.interpolation import draw_interpolation
from analysis.figures.sharpness import draw_sharpness, measured
from analysis.figures.slices import one_seed, slices
from analysis.figures.style import METHOD_STYLES
from analysis.figures.surfaces import CEILING, draw_contours, draw_landscapes
from analysis.records import load
from analysis.sheets import sheets_of
from benchmarks.probes.record import ProbeRecord
from tests.analysis.figures.artists import bars, line_in, panel, points
from tests.analysis.figures.golden import material as of_results
from tests.analysis.figures.reading import see
from tests.analysis.synthetic import write_tree
from tests.analysis.synthetic_probes import AXIS, LINE, flatness, height, probe_record, probe_records

METHODS = ("Adam", "ASAM", "TRAM-x")


def material(tmp_path: Path, probes: tuple[ProbeRecord, ...]) -> Material:
    """Of mini-m2d2, with these records of probes."""
    folder = write_tree(tmp_path, {"mini-m2d2": METHODS}, range(5), lambda method, *_: 50.0 + len(method))
    results = load(folder)
    return Material("mini", folder.parent, tuple(sheets_of(results)), (), results.records, probes)


@pytest.fixture
def probed(tmp_path: Path) -> Material:
    return material(tmp_path, probe_records(["mini-m2d2"], METHODS[1:]))


def outside(method: str, seed: int, *place: float) -> float:
    """The mean of the two zero-shot domains that have a surface."""
    return (height(method, seed, "science", *place) + height(method, seed, "graphs", *place)) / 2


def scale_of_seed_0() -> tuple[float, float]:
    """The lowest loss of all, and CEILING times the lowest of the panel where that is highest."""
    places = [(across, along) for across in AXIS for along in AXIS]
    panels = [[height(name, 0, "math", *place) for place in places] for name in METHODS]
    panels += [[outside(name, 0, *place) for place in places] for name in METHODS]
    lowest = [min(losses) for losses in panels]
    assert max(map(max, panels)) > CEILING * max(lowest)
    return min(lowest), CEILING * max(lowest)


@dataclass(frozen=True)
class View:
    """A figure, drawn once."""

    figure: Figure
    picture: NDArray[np.uint8]

    def color(self, index: int, across: float, along: float) -> NDArray[np.float64]:
        """What is seen at that place of the panel."""
        x, y = self.figure.get_axes()[index].transData.transform((across, along))
        return self.picture[self.picture.shape[0] - 1 - int(y), int(x)] / 255


def view(figure: Figure) -> View:
    return View(figure, see(figure).picture)


def test_losses_are_by_place_in_and_out_of_domain(probed: Material) -> None:
    found = {(each.method, each.seed): each for each in slices(probed, "surface-random")}
    assert list(found)[:6] == [("Adam", seed) for seed in range(5)] + [("ASAM", 0)]
    each = found["TRAM-x", 3]
    for i, across in enumerate(AXIS):
        for j, along in enumerate(AXIS):
            assert each.inside[i, j] == pytest.approx(height("TRAM-x", 3, "math", across, along))
            assert each.outside[i, j] == pytest.approx(outside("TRAM-x", 3, across, along))


def test_contours_have_the_losses_colour_where_the_loss_is(probed: Material) -> None:
    """Far from the diagonal and from symmetry: an exchange of axes or a flip shows."""
    figure = draw_contours(probed, "surface-random")
    for axes in figure.get_axes():
        for lines in axes.collections[1:]:  # white
            lines.remove()
    scale, drawn = LogNorm(*scale_of_seed_0()), view(figure)
    for index, (method, loss) in enumerate(
        (name, each)
        for name in METHODS
        for each in (lambda n, *p: height(n, 0, "math", *p), lambda n, *p: outside(n, 0, *p))
    ):
        for place in ((0.5, 0.25), (-0.75, 0.75), (0.75, -0.5), (-0.25, -1 + 0.05)):
            expected = np.array(colormaps["viridis"](scale(loss(method, *place)))[:3])
            seen = drawn.color(index, *place)
            assert np.abs(seen - expected).max() < 0.1, (method, index, place)


def test_walls_far_beyond_every_valley_have_one_colour(probed: Material, tmp_path: Path) -> None:
    record = probe_record("mini-m2d2", "ASAM", 0, "surface-random")
    assert record.surface is not None
    steep = record.surface.model_copy(
        update={"losses": {name: tuple(loss**6 for loss in losses) for name, losses in record.surface.losses.items()}}
    )
    figure = draw_contours(
        material(tmp_path / "steep", (record.model_copy(update={"surface": steep}),)), "surface-random"
    )
    scale = figure.get_axes()[-1].get_xlim()
    (each,) = slices(material(tmp_path / "steep", (record.model_copy(update={"surface": steep}),)), "surface-random")
    assert scale == pytest.approx((each.inside.min(), CEILING * each.outside.min()))
    assert view(figure).color(0, 0.95, 0.95) == pytest.approx(np.array(colormaps["viridis"](1.0)[:3]), abs=0.06)


def test_named_points_are_marked_and_listed(probed: Material) -> None:
    figure = draw_contours(probed, "surface-plane")
    drawn = points(panel(figure, "math (training)"))
    assert drawn == {"zero-shot": (-0.8, -0.4), "Adam": (0.6, -0.3)}
    assert points(figure.get_axes()[3]) == drawn | {"ASAM": (0, 0)}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["θ₀, before training", "Adam", "ASAM", "TRAM-x"]


def test_a_loss_that_is_not_finite_is_a_hole(tmp_path: Path) -> None:
    record = probe_record("mini-m2d2", "ASAM", 0, "surface-random")
    assert record.surface is not None
    losses = {name: (None, *rest[1:]) for name, rest in ((n, list(v)) for n, v in record.surface.losses.items())}
    holed = record.model_copy(update={"surface": record.surface.model_copy(update={"losses": losses})})
    figure = draw_contours(material(tmp_path, (holed,)), "surface-random")
    # Grey: red, green and blue are equal. The first loss is that at (-1, -1).
    assert np.ptp(view(figure).color(0, -0.97, -0.97)) < 0.02
    assert np.ptp(view(figure).color(0, 0.97, 0.97)) > 0.2
    draw_landscapes(material(tmp_path, (holed,)), "surface-random")


def test_landscapes_are_as_high_as_the_loss_on_one_scale(probed: Material) -> None:
    figure = draw_landscapes(probed, "surface-random")
    panels = [axes for axes in figure.get_axes() if isinstance(axes, Axes3D)]
    assert len({axes.get_zlim() for axes in panels}) == 1
    for axes, method in zip(panels[::2], METHODS, strict=True):
        (surface,) = axes.collections
        # The corners of the patches are places on the grid.
        corners = np.asarray(surface._faces).reshape(-1, 3)
        assert set(corners[:, 0]) == set(corners[:, 1]) == set(AXIS)
        for across, along, up in corners:
            expected = min(height(method, 0, "math", across, along), scale_of_seed_0()[1])
            assert 10**up == pytest.approx(expected)


def test_the_right_landscape_of_a_pair_has_the_heights_of_both(probed: Material) -> None:
    panels = [axes for axes in draw_landscapes(probed, "surface-random").get_axes() if isinstance(axes, Axes3D)]
    low, high = scale_of_seed_0()
    for number, axes in enumerate(panels):
        heights = [label.get_text() for label in axes.zaxis.get_ticklabels()]
        if number % 2:
            assert [float(text) for text in heights] == pytest.approx(10 ** np.array(axes.get_zticks()))
            assert all(low <= float(text) <= high for text in heights)
            assert len(heights) > 0
        else:
            assert set(heights) == {""}


def test_all_are_of_the_seed_that_most_have(tmp_path: Path) -> None:
    records = (
        *probe_records(["mini-m2d2"], ("ASAM",), (0, 1), ("surface-random",)),
        *probe_records(["mini-m2d2"], ("TRAM-x",), (1,), ("surface-random",)),
    )
    unique = {(record.method, record.seed): record for record in records}
    found = one_seed(slices(material(tmp_path, tuple(unique.values())), "surface-random"))
    assert [(each.method, each.seed) for each in found] == [("Adam", 1), ("ASAM", 1), ("TRAM-x", 1)]


def test_lines_are_means_with_their_interval(probed: Material) -> None:
    figure = draw_interpolation(probed)
    color = METHOD_STYLES["ASAM"].color
    for title, loss in (("math", lambda *a: height(*a[:2], "math", a[2])), ("zero-shot", outside)):
        axes = panel(figure, title)
        drawn = line_in(axes, color, "--")
        assert drawn.get_xdata() == pytest.approx(LINE)
        # Seeds differ by 0, 0.1, ..., 0.4 everywhere: the mean is that of seed 2.
        assert drawn.get_ydata() == pytest.approx([loss("ASAM", 2, place) for place in LINE])
    # t(0.975, 4) s / sqrt(5), s of 0, 0.1, ..., 0.4 being 0.158114
    corners = panel(figure, "math").collections[1].get_paths()[0].vertices
    at_solution = corners[np.isclose(corners[:, 0], 1.0), 1]
    half_width = 2.776445 * 0.158114 / 5**0.5
    middle = height("ASAM", 2, "math", 1.0)
    assert (at_solution.min(), at_solution.max()) == pytest.approx((middle - half_width, middle + half_width), abs=1e-5)
    assert [text.get_text() for text in panel(figure, "math").texts] == ["θ₀", "solution"]


def test_different_lines_are_not_averaged(tmp_path: Path) -> None:
    first = probe_record("mini-m2d2", "ASAM", 0, "surface-line")
    other = probe_record("mini-m2d2", "ASAM", 1, "surface-line")
    assert other.surface is not None
    moved = other.surface.model_copy(update={"axes": (tuple(place + 0.01 for place in LINE),)})
    with pytest.raises(NothingToDrawError, match="ASAM: seeds 0 and 1 were measured at different places"):
        draw_interpolation(material(tmp_path, (first, other.model_copy(update={"surface": moved}))))


def test_a_surface_without_the_training_domain_is_named(tmp_path: Path) -> None:
    record = probe_record("mini-m2d2", "ASAM", 0, "surface-line")
    assert record.surface is not None
    less = record.surface.model_copy(update={"losses": {"graphs": record.surface.losses["graphs"]}})
    with pytest.raises(NothingToDrawError, match=r"mini-m2d2 ASAM seed 0: its surface-line holds graphs, and not math"):
        draw_interpolation(material(tmp_path, (record.model_copy(update={"surface": less}),)))


def test_sharpness_inside_against_outside_beside_table_6(probed: Material) -> None:
    figure = draw_sharpness(probed)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "both equal"
    # Seeds differ by 0, 0.1, ..., 0.4; domains by 0.05 for a letter.
    names = [len(name) for name in probed.sheet.zero_shot_domains]
    middle = flatness("ASAM") + 0.2
    place = points(panel(figure, "mini-m2d2"))["ASAM"]
    assert place == pytest.approx((middle + 0.05 * len("math"), middle + 0.05 * sum(names) / len(names)))
    across, upright = bars(panel(figure, "mini-m2d2"))[METHOD_STYLES["ASAM"].color.lower()]
    half_width = 2.776445 * 0.158114 / 5**0.5
    assert [x for x, _ in across] == pytest.approx([place[0] - half_width, place[0] + half_width], abs=1e-5)
    assert [y for _, y in upright] == pytest.approx([place[1] - half_width, place[1] + half_width], abs=1e-5)
    assert points(panel(figure, "the paper"))["TRAM-prev"] == (0.50, 1.19)
    assert points(panel(figure, "the paper"))["TRPO"] == (6.17, 2.36)


def test_sharpness_elsewhere_is_of_the_domains_that_all_have(probed: Material) -> None:
    first, second = (probe_record("mini-m2d2", "ASAM", seed, "sharpness") for seed in (0, 1))
    fewer = {key: value for key, value in second.metrics.items() if not key.endswith(("science", "tensors"))}
    found = measured(probed.sheet, [first, second.model_copy(update={"metrics": fewer})])["ASAM"]
    names = [name for name in probed.sheet.zero_shot_domains if name not in ("science", "tensors")]
    expected = [flatness("ASAM") + 0.1 * seed + 0.05 * sum(map(len, names)) / len(names) for seed in (0, 1)]
    assert found.outside.mean == pytest.approx(sum(expected) / 2)


def test_the_published_numbers_alone_make_one_panel() -> None:
    (axes,) = draw_sharpness(of_results("published")).get_axes()
    assert len(points(axes)) == 11


def test_where_all_seeds_have_one_loss_the_band_has_no_width(tmp_path: Path) -> None:
    """Its interval is not known, and not endless: all of them began at one model."""
    records = [probe_record("mini-m2d2", "ASAM", seed, "surface-line") for seed in (0, 1)]
    at = LINE.index(0.0)
    shared = []
    for record in records:
        assert record.surface is not None
        losses = {name: (*found[:at], 2.5, *found[at + 1 :]) for name, found in record.surface.losses.items()}
        shared.append(record.model_copy(update={"surface": record.surface.model_copy(update={"losses": losses})}))
    (band, *_) = panel(draw_interpolation(material(tmp_path, tuple(shared))), "math").collections
    corners = band.get_paths()[0].vertices
    assert set(corners[np.isclose(corners[:, 0], 0.0), 1]) == {2.5}
    assert np.isfinite(corners).all()
