"""Loss surfaces: the loss on every domain along a line, or over a plane, of weights."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from benchmarks.cache import digest
from benchmarks.checkpoint import set_weights
from benchmarks.probes.directions import Affine, difference, filter_normalised, plane_through
from benchmarks.probes.examples import held, mean_nll, test_sets, with_zero_shot_average
from benchmarks.probes.points import Losses, Points
from benchmarks.probes.probe import Measured, Work, restored
from benchmarks.probes.record import Surface, fingerprint
from benchmarks.probes.trained import Trained, baseline_of, trained
from benchmarks.task import Batch, Task

Place = tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """From theta_0, at 0, through the solution, at 1, and on: interpolation and extrapolation.

    `points` at equal distances from `first` to `last`. Of every domain's test set `examples` are taken, `blocks` where
    they are blocks of text.
    """

    first: float = -0.5
    last: float = 1.5
    points: int = 21
    examples: int = 64
    blocks: int = 8

    def measure(self, model: Trained, work: Work) -> Measured | None:
        line = Affine(model.before, (difference(model.after, model.before),))
        axes = (spaced(self.first, self.last, self.points),)
        return traced(model, work, line, axes, {"theta_0": (0.0,), model.run.method: (1.0,)}, self)


@dataclass(frozen=True)
class RandomPlane:
    """Around the solution, in two random directions that are normalised by filter (Li et al. 2018).

    1 is a step as long as the weights. All models of a benchmark are moved along the same random numbers. `points` from
    -`reach` to `reach` on either axis.
    """

    reach: float = 0.5
    points: int = 13
    seed: int = 0
    examples: int = 64
    blocks: int = 8

    def measure(self, model: Trained, work: Work) -> Measured | None:
        names = [name for name, _ in model.task.model.named_parameters()]
        directions = tuple(filter_normalised(model.after, names, 2 * self.seed + axis) for axis in (0, 1))
        axes = (spaced(-self.reach, self.reach, self.points),) * 2
        return traced(model, work, Affine(model.after, directions), axes, {model.run.method: (0.0, 0.0)}, self)


@dataclass(frozen=True)
class SolutionPlane:
    """Through theta_0, at (0, 0), the baseline's solution of the same seed, at (1, 0), and the method's.

    The axes are orthogonal, and 1 is the distance from theta_0 to the baseline's solution on both. `points` on either
    axis, over the three and a `margin` around them.
    """

    margin: float = 0.4
    points: int = 13
    examples: int = 64
    blocks: int = 8

    def measure(self, model: Trained, work: Work) -> Measured | None:
        baseline = baseline_of(model.run)
        other = trained(baseline, model.results, model.execution, work.report)
        plane, place = plane_through(model.before, other.after, model.after)
        named = {"theta_0": (0.0, 0.0), baseline.method: (1.0, 0.0), model.run.method: place}
        axes = tuple(
            spaced(min(along) - self.margin, max(along) + self.margin, self.points)
            for along in zip(*named.values(), strict=True)
        )
        return traced(model, work, plane, axes, named, self)


def spaced(first: float, last: float, points: int) -> tuple[float, ...]:
    """`points` numbers at equal distances, each rounded once: halves and tenths are what they look like."""
    return tuple((first * (points - 1 - index) + last * index) / (points - 1) for index in range(points))


def traced(
    model: Trained,
    work: Work,
    space: Affine,
    axes: Sequence[Place],
    named: Mapping[str, Place],
    settings: Line | RandomPlane | SolutionPlane,
) -> Measured | None:
    """The losses at the grid's points and at the named ones, as far as this part goes.

    Returns all of them once every part is done, else None.
    """
    places = [*product(*axes), *named.values()]
    identity = digest({"run": fingerprint(model.record), "settings": repr(settings), "places": places})
    kept = Points(work.path, identity)
    done = kept.done()
    count = settings.examples if model.row.metric == "accuracy" else settings.blocks
    sets = held(model.task, test_sets(model.task, count), model.batch_size)
    mine = [index for index in work.part.of(len(places)) if index not in done]
    with restored(model.task.model):
        for number, index in enumerate(mine):
            work.report(work.path.stem, number, len(mine))
            started = time.perf_counter()
            set_weights(model.task.model, space.at(places[index]))
            kept.append(work.part, index, losses(model.task, sets), time.perf_counter() - started)
    done = kept.done()
    if len(done) < len(places):
        return None
    return _measured(
        [done[index].losses for index in range(len(places))], axes, named, sum(p.seconds for p in done.values())
    )


def losses(task: Task, sets: Mapping[str, Sequence[Batch]]) -> dict[str, float]:
    """By domain, and their average over the domains that training has not seen."""
    return with_zero_shot_average({domain: mean_nll(task, batches) for domain, batches in sets.items()})


def _measured(found: list[Losses], axes: Sequence[Place], named: Mapping[str, Place], seconds: float) -> Measured:
    size = len(found) - len(named)
    surface = Surface(
        axes=tuple(axes),
        losses={domain: tuple(losses[domain] for losses in found[:size]) for domain in found[0]},
        points=dict(named),
    )
    metrics = {
        f"{name}/nll/{domain}": loss
        for name, losses in zip(named, found[size:], strict=True)
        for domain, loss in losses.items()
        if loss is not None
    }
    return Measured(metrics, surface, seconds=seconds)
