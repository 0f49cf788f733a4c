"""Synthetic records of probes, whose every number can be worked out by hand: surfaces are paraboloids."""

from collections.abc import Iterable

from benchmarks.probes.record import OF, ProbeRecord, Surface, fingerprint
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS

AXIS = tuple(-1 + 0.25 * step for step in range(9))
LINE = tuple(-0.5 + 0.125 * step for step in range(17))


def flatness(method: str) -> float:
    """How fast the loss rises away from the solution: less for a longer name."""
    return 8 / len(method)


def height(method: str, seed: int, domain: str, *place: float) -> float:
    """The loss at a place: a paraboloid around 0.1 to the right, or on a line around 1, in-domain at (0, 0) or 1."""
    out = 0.1 * len(domain)
    if len(place) == 1:
        return 1 + 0.1 * seed + out + flatness(method) * (place[0] - 1) ** 2
    across, along = place
    return 1 + 0.1 * seed + out + flatness(method) * ((across - out / 4) ** 2 + 2 * along**2)


def probe_record(benchmark: str, method: str, seed: int, probe: str, **changes: object) -> ProbeRecord:
    """A record of the suite `mini`; `changes` replace fields."""
    row = BENCHMARKS[benchmark]
    metrics: dict[str, float] = {}
    surface = None
    if probe == "sharpness":
        metrics = {f"test/sharpness/{name}": flatness(method) + 0.1 * seed + 0.05 * len(name) for name in row.domains}
    elif probe == "cka":
        metrics = {
            f"test/cka/{name}": 1 / (1 + 0.1 * flatness(method) + 0.01 * seed * len(name)) for name in row.domains
        }
    elif probe == "forgetting":
        metrics = {"weights/distance/all": flatness(method) + 0.1 * seed}
    elif probe == "spectrum":
        metrics = {f"test/eigenvalue-1/{name}": flatness(method) + 0.1 * seed for name in (row.train_domain, "ZS Avg")}
    elif probe.startswith("surface"):
        axes = (LINE,) if probe == "surface-line" else (AXIS, AXIS)
        points: dict[str, tuple[float, ...]] = (
            {"theta_0": (0.0,), method: (1.0,)} if probe == "surface-line" else {method: (0.0, 0.0)}
        )
        if probe == "surface-plane":
            points |= {"theta_0": (-0.8, -0.4), row.recipe.base_optimizer: (0.6, -0.3)}
        domains = (row.train_domain, *row.zero_shot_domains[:2])
        surface = Surface(
            axes=axes, losses={name: _losses(axes, method, seed, name) for name in domains}, points=points
        )
    fields: dict[str, object] = {
        "suite": "mini",
        "benchmark": benchmark,
        "method": method,
        "seed": seed,
        "probe": probe,
        "settings": {},
        "metrics": metrics,
        "surface": surface,
        "seconds": 1.0,
        "peak_memory_bytes": 1,
        "revisions": {},
        "environment": {},
    }
    return ProbeRecord.model_validate(fields | changes)


def probe_of(run: Record, probe: str) -> ProbeRecord:
    """A record of the probe on the run of a record: on the weights that the run ended with."""
    return probe_record(run.benchmark, run.method, run.seed, probe, revisions={OF: fingerprint(run)})


def probe_records(
    benchmarks: Iterable[str],
    methods: Iterable[str] = ("ASAM", "TRAM-prev", "TRAM-x"),
    seeds: Iterable[int] = range(5),
    probes: Iterable[str] = ("sharpness", "surface-line", "surface-random", "surface-plane"),
) -> tuple[ProbeRecord, ...]:
    """Each of the probes of each method, and of the base optimizer, with each seed."""
    return tuple(
        probe_record(benchmark, method, seed, probe)
        for benchmark in benchmarks
        for method in (BENCHMARKS[benchmark].recipe.base_optimizer, *methods)
        for seed in seeds
        for probe in probes
    )


def _losses(axes: tuple[tuple[float, ...], ...], method: str, seed: int, domain: str) -> tuple[float, ...]:
    """The last axis runs fastest."""
    if len(axes) == 1:
        return tuple(height(method, seed, domain, place) for place in axes[0])
    return tuple(height(method, seed, domain, across, along) for across in axes[0] for along in axes[1])
