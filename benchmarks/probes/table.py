"""Every probe by its name, with its settings."""

from dataclasses import replace

from benchmarks.probes.cka import CKA
from benchmarks.probes.forgetting import Forgetting
from benchmarks.probes.probe import Probe
from benchmarks.probes.sharpness import Sharpness
from benchmarks.probes.spectrum import Spectrum
from benchmarks.probes.surface import Line, RandomPlane, SolutionPlane
from benchmarks.row import Benchmark

TABLE: dict[str, Probe] = {
    "sharpness": Sharpness(),
    # The code that the paper's authors cite, github.com/aNOnWhyMooS/connectivity.
    "sharpness-connectivity": Sharpness(box="connectivity", dropout=True, leftover=False),
    "cka": CKA(),
    "forgetting": Forgetting(),
    "spectrum": Spectrum(),
    "surface-line": Line(),
    "surface-random": RandomPlane(),
    "surface-plane": SolutionPlane(),
}

_FEW = Sharpness(batch_size=4, examples=128, blocks=64)

ON_A_LAPTOP: dict[str, Probe] = {
    "sharpness": _FEW,
    "sharpness-connectivity": replace(_FEW, box="connectivity", dropout=True, leftover=False),
    "cka": CKA(examples=128, blocks=32),
    "forgetting": Forgetting(examples=256, blocks=64),
    "spectrum": Spectrum(count=2, subspace=8, trace_samples=0, examples=32, blocks=4),
    "surface-line": Line(examples=32, blocks=4),
    "surface-random": RandomPlane(points=11, examples=32, blocks=4),
    "surface-plane": SolutionPlane(points=11, examples=32, blocks=4),
}
"""Of benchmarks that a laptop runs: fewer examples and points. Batches are smaller too, so that the ascent of sharpness
makes not much fewer steps than the 19 that it makes on XNLI."""


def probe_named(name: str, row: Benchmark) -> Probe:
    return (ON_A_LAPTOP if row.needs is None else TABLE)[name]
