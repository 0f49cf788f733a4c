"""The registry and the command: which figures there are, why others are not, and that files are reproducible."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.figures import FIGURES, NothingToDrawError, encode, figures_of, gather
from analysis.records import load
from tests.analysis.figures.golden import ROOT, material
from tests.analysis.synthetic_probes import probe_records


def test_there_is_one_figure_for_each_benchmark_or_one_for_all(suite: Path) -> None:
    found = [drawing.name for drawing in figures_of(gather(load(suite), suite), ["scores", "overview"])]
    assert found == ["overview", "scores_mini-vision-letters", "scores_mini-m2d2"]


def test_what_no_benchmark_has_is_told_once(suite: Path) -> None:
    (drawing,) = figures_of(gather(load(suite), suite), ["surface-plane"])
    assert drawing.name == "surface-plane"
    with pytest.raises(NothingToDrawError, match=r"^no record of the probe surface-plane$"):
        drawing.draw()


def test_what_one_benchmark_lacks_is_told_of_it(suite: Path) -> None:
    probes = probe_records(["mini-m2d2"], ("SAM",), (0,))
    drawings = list(figures_of(replace(gather(load(suite), suite), probes=probes), ["surface-plane"]))
    assert [drawing.name for drawing in drawings] == ["surface-plane_mini-vision-letters", "surface-plane_mini-m2d2"]
    with pytest.raises(NothingToDrawError):
        drawings[0].draw()
    drawings[1].draw()


def test_only_the_named_benchmarks(suite: Path) -> None:
    part = gather(load(suite), suite, ["mini-m2d2"])
    assert {record.benchmark for record in part.records} == {"mini-m2d2"}
    assert [drawing.name for drawing in figures_of(part, ["cost"])] == ["cost_mini-m2d2"]


def test_captions_are_sentences() -> None:
    assert all(kind.caption.endswith(".") and kind.caption[0].isupper() for kind in FIGURES.values())


@pytest.mark.parametrize("name", ["correlation_m2d2-s2orc", "sharpness"])
def test_a_figure_drawn_twice_is_the_same_file(name: str) -> None:
    kind, _, benchmark = name.partition("_")
    part = material("published").of(benchmark) if benchmark else material("published")
    for suffix in ("png", "pdf"):
        first, second = (encode(FIGURES[kind].draw(part), suffix) for _ in range(2))
        assert first == second


def test_files_hold_no_date_and_no_version() -> None:
    figure = FIGURES["sharpness"].draw(material("published"))
    pdf = encode(figure, "pdf")
    texts = [pdf]
    for part in pdf.split(b"stream\n")[1:]:
        try:
            texts.append(zlib.decompress(part))
        except zlib.error:
            continue
    for word in (b"CreationDate", b"matplotlib", b"Matplotlib"):
        assert not any(word in text for text in texts), word
    assert b"Software" not in encode(figure, "png")
    # TrueType, not Type 3, so that text can be searched.
    assert b"/Type3" not in pdf


def test_the_command_draws_what_it_can_and_says_why_not_the_rest(tmp_path: Path) -> None:
    arguments = ["--results", str(ROOT / "results" / "published"), "--output", str(tmp_path)]
    result = CliRunner().invoke(app, ["figures", *arguments, "--only", "sharpness,distance", "--only", "overview"])
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(tmp_path / f"published_sharpness.{suffix}") for suffix in ("png", "pdf")]
    assert result.stderr.splitlines() == [
        "not drawn: overview: no run of ours",
        "not drawn: distance: no run of ours has a curve",
    ]
    assert (tmp_path / "published_sharpness.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    arguments = ["--results", str(ROOT / "results" / "published"), "--output", str(tmp_path / "new")]
    result = CliRunner().invoke(app, ["figures", *arguments, "--only", "sharpnes"])
    assert (result.exit_code, result.stderr) == (2, "error: no figure 'sharpnes'; did you mean sharpness?\n")
    assert not (tmp_path / "new").exists()
