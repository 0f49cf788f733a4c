"""Slices: the loss surfaces that the probes measured, in the training domain and averaged over the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from analysis.figures.errors import NothingToDrawError
from analysis.figures.material import Material
from analysis.methods import in_order
from benchmarks.probes.record import ProbeRecord, Surface

Losses = NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """One run's losses on a line or plane, nats; arrays have a dimension per axis, NaN where the loss is not finite."""

    method: str
    seed: int
    axes: tuple[NDArray[np.float64], ...]
    inside: Losses
    """In the training domain."""
    outside: Losses
    """The mean over the other domains that were measured."""
    points: Mapping[str, tuple[float, ...]]


def slices(material: Material, probe: str) -> list[Slice]:
    """Those of one benchmark, by method in the paper's order and seed."""
    row = material.sheet
    records = [record for record in material.probed(probe) if record.surface is not None]
    order = in_order(record.method for record in records)
    records.sort(key=lambda record: (order.index(record.method), record.seed))
    return [_slice(record, row.train_domain, row.zero_shot_domains) for record in records]


def one_seed(found: Sequence[Slice]) -> list[Slice]:
    """A slice per method, all of the seed that most methods have, the lowest of those; of other methods, their first.

    Random directions differ between seeds, and so do the solutions that span a plane: there is nothing to average.
    """
    seeds = [each.seed for each in found]
    chosen = min(set(seeds), key=lambda seed: (-seeds.count(seed), seed))
    by_method: dict[str, Slice] = {}
    for each in found:
        if each.method not in by_method or each.seed == chosen:
            by_method[each.method] = each
    return list(by_method.values())


def _slice(record: ProbeRecord, train_domain: str, zero_shot_domains: Sequence[str]) -> Slice:
    surface = record.surface
    assert surface is not None
    others = [domain for domain in zero_shot_domains if domain in surface.losses]
    if train_domain not in surface.losses or not others:
        raise NothingToDrawError(
            f"{record.run}: its {record.probe} holds {', '.join(surface.losses)}, and not {train_domain} and another"
        )
    return Slice(
        method=record.method,
        seed=record.seed,
        axes=tuple(np.array(axis) for axis in surface.axes),
        inside=_grid(surface, train_domain),
        # Unlike nanmean, missing where any domain's loss is.
        outside=np.mean([_grid(surface, domain) for domain in others], axis=0),
        points=surface.points,
    )


def _grid(surface: Surface, domain: str) -> Losses:
    losses = [nan if loss is None else loss for loss in surface.losses[domain]]
    return np.array(losses).reshape([len(axis) for axis in surface.axes])
