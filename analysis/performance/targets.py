"""The targets, and what was measured of each."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.performance.record import Counts, DistanceCost, ModelCost, Performance

GPT2_VOCABULARY = 50_257
LARGE_ENOUGH = 10_000_000
"""Parameters from which on a step's time is held against that of its passes."""

KEPT = "TRAM-pre, logits kept"
PEERS = {
    "SAM": ("pytorch_optimizer SAM", "two-call SAM"),
    "ASAM": ("pytorch_optimizer ASAM", "two-call ASAM"),
}
OTHERS = tuple(name for names in PEERS.values() for name in names)
COPIES = {
    "SAM": 1, "ASAM": 1, "FSAM": 1, "TRAM-prev": 1, "TRAM-x": 1, "TRAM-Fisher": 1,
    "TRPO": 1, "MESA": 1, "TRAM-pre": 2, KEPT: 1, "R3F": 0,
}  # fmt: skip
"""Of the weights, kept between steps beyond what plain training keeps."""


@dataclass(frozen=True)
class Found:
    """The worst of what was measured, where that was, and whether it is within the limit."""

    text: str
    where: str
    holds: bool


@dataclass(frozen=True)
class Target:
    """`find` gives None where the record holds nothing to judge by."""

    what: str
    limit: str
    find: Callable[[Performance], Found | None]


def large(performance: Performance) -> list[ModelCost]:
    """The models that are large enough to be judged by, in full precision if any is."""
    models = [model for model in performance.of(ModelCost) if model.parameters >= LARGE_ENOUGH]
    return [model for model in models if model.precision == "float32"] or models


def _worst(found: list[tuple[float, str]], limit: float) -> Found | None:
    if not found:
        return None
    value, where = max(found)
    return Found(f"{value:.3f}", where, value <= limit)


def _over_floor(performance: Performance) -> Found | None:
    return _worst(
        [
            (model.over(name).median, f"{name}, {model.model}")
            for model in large(performance)
            for name in model.steps
            if name not in OTHERS
        ],
        1.03,
    )


def _over_peers(performance: Performance) -> Found | None:
    """Beside it what nothing can be below: the floor, to the time of the same peer."""
    found = [
        (over_best_peer(model, name), f"{name}, {model.model}", floor_over_best_peer(model, name))
        for model in large(performance)
        for name in PEERS
        if any(peer in model.steps for peer in PEERS[name])
    ]
    if not found:
        return None
    value, where, least = max(found)
    return Found(f"{value:.3f}", f"{where}; its passes alone {least:.3f}", value <= 0.95)


def over_best_peer(model: ModelCost, name: str) -> float:
    """A method's time to that of the best of its peers on the same model."""
    return max(model.ratio(name, peer) for peer in PEERS[name] if peer in model.steps)


def floor_over_best_peer(model: ModelCost, name: str) -> float:
    """The time of the passes of both to that of the best of its peers: what the ratio would be if we added nothing."""
    return 1 / min(model.over(peer).median for peer in PEERS[name] if peer in model.steps)


def _over_sam(name: str, limit: float) -> Callable[[Performance], Found | None]:
    def find(performance: Performance) -> Found | None:
        models = [model for model in large(performance) if {name, "SAM"} <= model.steps.keys()]
        return _worst([(model.ratio(name, "SAM"), model.model) for model in models], limit)

    return find


def _copies(performance: Performance) -> Found | None:
    """In weights of four bytes; what a method keeps beside them is no copy if it is under a tenth of one."""
    over = [
        (_copies_kept(model, name, cost.kept_bytes_per_parameter) - COPIES[name], f"{name}, {model.model}")
        for model in performance.of(ModelCost)
        for name, cost in model.steps.items()
        if name in COPIES and cost.kept_bytes_per_parameter is not None
    ]
    if not over:
        return None
    excess, where = max(over)
    return Found("as many" if excess < 0.1 else f"{excess:.2f} more", where if excess >= 0.1 else "", excess < 0.1)


def _copies_kept(model: ModelCost, name: str, kept: float) -> float:
    """Without the logits, which KeptLogits is there to keep."""
    logits = 4 * model.logits / model.parameters if name == KEPT else 0.0
    return (kept - logits) / 4


def _distance(performance: Performance) -> DistanceCost | None:
    return next((cost for cost in performance.of(DistanceCost) if cost.vocabulary == GPT2_VOCABULARY), None)


def _distance_memory(performance: Performance) -> Found | None:
    cost = _distance(performance)
    if cost is None:
        return None
    # Temporaries do not grow with the batch: what they are of 16 x 1024 tokens is known from fewer.
    share = cost.extra_peak_bytes / (16 * 1024 * cost.vocabulary * 4)
    return Found(f"{share:.2%}", cost.model, share <= 0.10)


def _distance_time(performance: Performance) -> Found | None:
    cost = _distance(performance)
    if cost is None:
        return None
    share = cost.seconds / cost.forward_seconds
    return Found(f"{share:.1%}", cost.model, share <= 0.05)


def _waits(performance: Performance) -> Found | None:
    found = [(count, name) for counts in performance.of(Counts) for name, count in counts.host_waits.items()]
    if not found:
        return None
    count, name = max(found)
    return Found(str(count), name if count else "", count == 0)


def _launches(performance: Performance) -> Found | None:
    """From some number of weights to four times as many; a bounded number of lots counts as constant."""
    counts = next(iter(performance.of(Counts)), None)
    if counts is None:
        return None
    per_weight = (counts.tensors[-1] - counts.tensors[0]) or 1
    growth = {name: (found[-1] - found[0]) / per_weight for name, found in counts.launches.items()}
    name = max(growth, key=lambda known: growth[known])
    text = "constant" if growth[name] <= 0 else f"{growth[name]:.2f} for each further weight"
    return Found(text, name if growth[name] > 0 else "", growth[name] <= 0)


TARGETS = (
    Target("step over floor, every method, 10M parameters and more", "≤ 1.03", _over_floor),
    Target("SAM and ASAM over the best peer", "≤ 0.95", _over_peers),
    Target("TRAM-prev over SAM", "≤ 1.20", _over_sam("TRAM-prev", 1.20)),
    Target("TRAM-pre with kept logits over SAM", "≤ 1.02", _over_sam(KEPT, 1.02)),
    Target("copies of the weights kept", "0, 1 or 2, by method", _copies),
    Target("d of 16 × 1,024 tokens over 50,257 words: extra peak, of one logits tensor", "≤ 10 %", _distance_memory),
    Target("d over 50,257 words: time, of GPT-2's forward", "≤ 5 %", _distance_time),
    Target("waits of the host for the device, a step", "0", _waits),
    Target("launches beyond the passes', in the number of weights", "constant", _launches),
)
