"""The figures by name: what each shows, and what draws it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from matplotlib.figure import Figure

from analysis.figures.correlation import draw_correlation
from analysis.figures.cost import draw_cost
from analysis.figures.errors import NothingToDrawError
from analysis.figures.heatmap import draw_domains
from analysis.figures.interpolation import draw_interpolation
from analysis.figures.material import Material, Needs
from analysis.figures.overview import draw_overview
from analysis.figures.scores import draw_scores
from analysis.figures.sharpness import draw_sharpness
from analysis.figures.surfaces import draw_contours, draw_landscapes
from analysis.figures.training import draw_convergence, draw_distance


@dataclass(frozen=True)
class Kind:
    """A row of the registry. `draw` raises NothingToDrawError where the material lacks what it shows."""

    name: str
    caption: str
    needs: Needs
    draw: Callable[[Material], Figure]
    per_benchmark: bool = True
    """Whether there is one for each benchmark, of its own material, or one for all."""


@dataclass(frozen=True)
class Drawing:
    """One figure of one suite, still to be drawn. `name` is its file's; `draw` may raise NothingToDrawError."""

    name: str
    caption: str
    draw: Callable[[], Figure]
    source: tuple[Needs, str] | None = None
    """What it shows of which benchmark, "" for all: figures of one source read the same files."""


def _surface(probe: Needs, plane: str) -> tuple[Kind, Kind]:
    words = f"{plane}, of one seed, on the test data of the training domain beside the mean of the other domains"
    return (
        Kind(
            probe,
            f"Loss surfaces: contours {words}. One scale for all panels, in which equal ratios are equal steps; losses "
            "beyond its upper end have its colour, grey is not finite.",
            probe,
            partial(draw_contours, probe=probe),
        ),
        Kind(
            probe.replace("surface", "landscape"),
            f"Loss surfaces in three dimensions {words}. One scale for all panels: height and colour are the loss.",
            probe,
            partial(draw_landscapes, probe=probe),
        ),
    )


_KINDS = (
    Kind(
        "overview",
        "The zero-shot average of each method minus that of its baseline, paired by seed, with 95% t intervals; at the "
        "right of a panel, what the paper's columns say of the method.",
        "runs",
        lambda material: draw_overview(material.aggregated),
        per_benchmark=False,
    ),
    Kind(
        "domains",
        "Each method against its baseline in every domain, the training domain first and the zero-shot average last. A "
        "dot where the 95% t interval of the paired differences excludes 0.",
        "runs",
        lambda material: draw_domains(material.aggregated),
        per_benchmark=False,
    ),
    Kind(
        "correlation",
        "Figure 2 of the paper: score in the training domain against the zero-shot score, a point per method. On the "
        "mean of the domains that go with the training domain, and on the two domains that go with it least or against "
        "it, found by Pearson's r over methods (in the titles). Least-squares lines for the methods before TRAM and "
        "for TRAM, with r and p. Pale crosses: 95% t intervals over seeds.",
        "scores",
        draw_correlation,
    ),
    Kind(
        "scores",
        "What each method gains over its baseline in every language or domain, with 95% intervals: ours paired by "
        "seed, the paper's from its printed standard deviations or intervals. Where it prints neither, as on M2D2, "
        "its diamonds have no interval: how far chance moves them is not known. The baseline's line holds its score.",
        "scores",
        draw_scores,
    ),
    Kind(
        "cost",
        "What each method gains over its baseline, with 95% intervals, against what it costs: passes of one step, as "
        "counted; training time and peak memory relative to the baseline's run with the same seed, median and range "
        "over seeds. Methods with equal passes share a column, side by side. Runs beside others slow each other: times "
        "are a hint.",
        "scores",
        draw_cost,
    ),
    Kind(
        "sharpness",
        "Sharpness in the training domain against the mean of the zero-shot domains, with 95% t intervals over seeds, "
        "beside Table 6 of the paper. Dashed, where it is in sight: equally sharp in both.",
        "scores",
        draw_sharpness,
        per_benchmark=False,
    ),
    Kind(
        "interpolation",
        "The loss on the line from the pre-trained model through the solution of each method: mean over seeds and its "
        "95% t interval, on the test data of the training domain and on average over the other domains.",
        "surface-line",
        draw_interpolation,
    ),
    *_surface("surface-random", "around each solution, in two filter-normalised random directions"),
    *_surface("surface-plane", "on the plane through the pre-trained model and two solutions"),
    Kind(
        "distance",
        "The distance d of each method at every step, median and range over seeds, with the radius where that is not "
        "d, and the Euclidean norm of ε. d is in nats for the KL divergences. A logarithmic scale: a value of 0, as at "
        "the first step of a reference that is the model itself, is left out.",
        "curves",
        draw_distance,
    ),
    Kind(
        "convergence",
        "The training loss of each method, median and range over seeds, over the median of its baseline; every point "
        "is a mean over neighbouring steps. TRAM-Fisher's is the loss at noised inputs: it has no other.",
        "curves",
        draw_convergence,
    ),
)

FIGURES: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


def figures_of(material: Material, only: Iterable[str] = ()) -> Iterator[Drawing]:
    """Every figure, in the registry's order; only those of the named kinds, if any.

    A kind for which the material holds nothing at all is one drawing, that raises, and not one for each benchmark.
    """
    chosen = set(only)
    parts = {sheet.name: material.of(sheet.name) for sheet in material.sheets}
    for kind in _KINDS:
        if chosen and kind.name not in chosen:
            continue
        if not material.has(kind.needs):
            yield Drawing(kind.name, kind.caption, partial(_refuse, kind.needs))
        elif kind.per_benchmark:
            for name, part in parts.items():
                yield Drawing(f"{kind.name}_{name}", kind.caption, partial(kind.draw, part), (kind.needs, name))
        else:
            yield Drawing(kind.name, kind.caption, partial(kind.draw, material), (kind.needs, ""))


def _refuse(needs: Needs) -> NoReturn:
    told = {"runs": "no run of ours", "curves": "no run of ours has a curve", "scores": "no scores"}
    raise NothingToDrawError(told.get(needs, f"no record of the probe {needs}"))
