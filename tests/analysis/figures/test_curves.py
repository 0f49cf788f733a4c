"""Curves: what is read of them, and what is drawn."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

import benchmarks.curve
from analysis.figures.curves import band, read_curve, read_curves, smoothed
from analysis.figures.style import INK, METHOD_STYLES, PALE
from analysis.figures.training import draw_convergence, draw_distance
from benchmarks.curve import POINTS
from benchmarks.record import Record, RecordError
from tests.analysis.figures.artists import line_in, panel
from tests.analysis.figures.golden import ROOT, material
from tests.analysis.synthetic import record


def write(root: Path, steps: int, seed: int = 0, **scalars: object) -> Record:
    """A run whose curve has `steps` lines, with step, loss = step + seed, and what `scalars` say of a step."""
    run = record("mini-xnli", "TRAM-prev", seed, lambda *_: 1.0)
    path = run.run.path(root).with_name(f"seed-{seed}.metrics.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": step, "loss": float(step + seed)}) for step in range(1, steps + 1)]
    path.write_text("\n".join(lines) + "\n")
    return run


def stored(benchmark: str, method: str, name: str) -> np.ndarray:
    """The scalar in results/mini, a row per seed."""
    folder = ROOT / "results" / "mini" / benchmark / method
    curves = [path.read_text().splitlines() for path in sorted(folder.glob("*.metrics.jsonl"))]
    return np.array([[json.loads(line)[name] for line in lines] for lines in curves])


def test_a_short_curve_is_read_whole(tmp_path: Path) -> None:
    curve = read_curve(write(tmp_path, 100), tmp_path)
    assert curve is not None
    assert curve["step"].tolist() == list(range(1, 101))
    assert curve["loss"].tolist() == [float(step) for step in range(1, 101)]


def test_of_a_long_curve_evenly_spaced_steps_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(
        benchmarks.curve, "_STEPS", SimpleNamespace(validate_json=lambda text: parsed.append(text) or json.loads(text))
    )
    curve = read_curve(write(tmp_path, 50_000), tmp_path)
    assert curve is not None
    assert (curve["step"][0], curve["step"][-1], len(curve["step"])) == (1, 50_000, POINTS)
    assert set(np.diff(curve["step"])) == {251, 252}
    assert sum(map(len, parsed)) < 20_000


def test_what_is_not_a_curve_is_named(tmp_path: Path) -> None:
    run = write(tmp_path, 3)
    path = run.run.path(tmp_path).with_name("seed-0.metrics.jsonl")
    whole = path.read_text()
    broken = ('{"step": 4, "lo', '{"step": 4, "loss": "low"}', "[4, 1.0]", '{"loss": 1.0}', "\xff")
    for line in broken:
        path.write_text(whole + line, encoding="latin-1")
        with pytest.raises(RecordError, match=r"seed-0\.metrics\.jsonl: not a curve .* run it again"):
            read_curve(run, tmp_path)
        assert read_curves([run, write(tmp_path, 2, 5)], tmp_path)["TRAM-prev"].keys() == {5}
    path.unlink()
    assert read_curve(run, tmp_path) is None
    assert read_curves([run], tmp_path) == {}


def test_a_scalar_that_was_not_finite_is_a_gap(tmp_path: Path) -> None:
    run = write(tmp_path, 2)
    path = run.run.path(tmp_path).with_name("seed-0.metrics.jsonl")
    path.write_text('{"step": 1, "distance": null}\n{"step": 2, "distance": 0.5}\n')
    curve = read_curve(run, tmp_path)
    assert curve is not None
    assert np.array_equal(curve["distance"], [np.nan, 0.5], equal_nan=True)


def test_the_band_is_the_median_and_the_range(tmp_path: Path) -> None:
    """Curves of 3, 3 and 2 steps, losses step + seed: the last step has two seeds."""
    found = read_curves([write(tmp_path, 3, 0), write(tmp_path, 3, 5), write(tmp_path, 2, 1)], tmp_path)
    drawn = band(found["TRAM-prev"].values(), "loss")
    assert drawn is not None
    assert drawn.step.tolist() == [1, 2, 3]
    assert drawn.median.tolist() == [2, 3, 5.5]
    assert drawn.low.tolist() == [1, 2, 3]
    assert drawn.high.tolist() == [6, 7, 8]
    assert band(found["TRAM-prev"].values(), "distance") is None


def test_smoothing_takes_means_of_neighbours() -> None:
    curve = {"step": np.arange(1.0, 86.0), "loss": np.arange(85.0) ** 2}
    drawn = smoothed(curve)
    assert drawn["step"].tolist() == [1.5 + 2 * pair for pair in range(42)] + [85]
    assert drawn["loss"][:2].tolist() == [0.5, 6.5]
    assert drawn["loss"][-1] == 84**2


def test_distances_are_the_stored_ones() -> None:
    figure = draw_distance(material("mini").of("mini-xnli"))
    distance = stored("mini-xnli", "TRAM-x", "distance")
    drawn = line_in(panel(figure, "TRAM-x"), METHOD_STYLES["TRAM-x"].color)
    assert drawn.get_xdata().tolist() == list(range(1, 101))
    assert drawn.get_ydata() == pytest.approx(np.median(distance, axis=0))
    (area,) = (each for each in panel(figure, "TRAM-x").collections if isinstance(each, PolyCollection))
    corners = area.get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == pytest.approx((distance.min(), distance.max()))
    # The radius of TRAM is d: it has no line of its own. That of a combination has.
    assert [line for line in panel(figure, "TRAM-x").lines if line.get_linestyle() == "--"] == []
    assert set(line_in(panel(figure, "ASAM+R3F"), INK, "--").get_ydata()) == {0.5}
    assert panel(figure, "TRAM-x").get_yscale() == "log"


def test_a_distance_of_zero_is_a_gap() -> None:
    """Without dropout, the first step of TRAM-prev has d = 0."""
    assert (stored("mini-vision-digits", "TRAM-prev", "distance")[:, 0] == 0).all()
    figure = draw_distance(material("mini").of("mini-vision-digits"))
    drawn = line_in(panel(figure, "TRAM-prev"), METHOD_STYLES["TRAM-prev"].color).get_ydata()
    assert np.isnan(drawn[0])
    assert np.isfinite(drawn[1:]).all()


def test_losses_stand_over_the_baselines() -> None:
    figure = draw_convergence(material("mini").of("mini-m2d2"))
    own, baseline = (np.median(stored("mini-m2d2", name, "loss"), axis=0) for name in ("MESA", "Adam"))
    # Sixty steps: nothing is averaged.
    assert line_in(panel(figure, "MESA"), METHOD_STYLES["MESA"].color).get_ydata() == pytest.approx(own)
    assert line_in(panel(figure, "MESA"), PALE).get_ydata() == pytest.approx(baseline)
