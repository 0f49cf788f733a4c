"""What a step costs, from a few numbers of the machine: held against what was measured, then used for what was not.

A step is its passes, the base optimizer's update, and what a method adds: work on every weight (backup, ascent,
restore; the exchange with the reference) and on every logit (d).

    seconds = passes + update + parameters * w(method) + logits * d(method)

Under FSDP2 on N GPUs each holds 1/N of the weights and sees its own part of the batch. A forward gathers all weights
once in bfloat16, a backward gathers them once more and scatters the gradients in float32. Assumed: exchanges are
hidden behind the passes, or the passes behind them, whichever is longer; nothing else overlaps; no recomputation.
"""

from dataclasses import dataclass

from benchmarks.performance.record import DistanceCost, ModelCost, Performance, WeightWork

BACKED_UP = ("SAM", "ASAM", "FSAM", "TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")
ASCENTS = {"SAM": "SAM", "ASAM": "ASAM", "FSAM": "FSAM", "TRAM-Fisher": "FSAM"}
"""The geometry of each ascent; of all others that of ASAM."""
EXCHANGED = ("TRAM-prev", "TRAM-pre")
MODELLED = BACKED_UP
"""Methods whose distance, if any, is not differentiated."""
WITH_DISTANCE = ("TRAM-prev", "TRAM-pre", "TRAM-x")
COPY = "backup or restore"
EXCHANGE = "exchange with the reference, there and back"
BYTES_OF_LOGIT = 208.0
"""That the twenty operators of d read and write for one pair of logits: 12 to float32, 20 of the log-softmaxes and the
sum, 176 between them. Less where a cache holds a chunk."""


LIMIT = 1.03


@dataclass(frozen=True)
class Predicted:
    """What the model says of one step and what was measured, as ratios to the floor.

    `tokens` are those of the batch that was measured; `enough` those from which on it would be at most LIMIT, by what
    was measured beside the passes, of which d alone grows with the batch: None where no batch is large enough.
    """

    model: str
    method: str
    predicted: float
    measured: float
    tokens: int
    enough: float | None


def per_weight(work: WeightWork, method: str) -> float:
    """Seconds for each parameter that a step spends on the weights, on the machine that was measured."""
    ascent = work.seconds[f"ascent of {ASCENTS.get(method, 'ASAM')}"]
    exchange = work.seconds[EXCHANGE] if method in EXCHANGED else 0.0
    return (2 * work.seconds[COPY] + exchange + ascent) / work.parameters


def checked(performance: Performance) -> list[Predicted]:
    """The model beside every step over its floor that was measured in full precision."""
    work = next(iter(performance.of(WeightWork)), None)
    distance = next(iter(performance.of(DistanceCost)), None)
    if work is None or distance is None:
        return []
    per_logit = distance.seconds / (distance.rows * distance.vocabulary)
    found = []
    for model in performance.of(ModelCost):
        if model.precision != "float32":
            continue
        for name in MODELLED:
            if name not in model.steps:
                continue
            seconds, cost = model.passes_seconds, model.steps[name]
            passes = cost.passes[0] * seconds["ungraded"] + cost.passes[1] * seconds["graded"]
            floor = passes + seconds["update"]
            by_weights = model.parameters * per_weight(work, name)
            by_logits = model.logits * per_logit * (name in WITH_DISTANCE)
            # What is done to weights is the same for any batch, as the update is; passes and d grow with it.
            measured = model.over(name).median
            fixed = (measured - 1) * floor - by_logits
            room, needed = (LIMIT - 1) * passes - by_logits, fixed - (LIMIT - 1) * seconds["update"]
            found.append(
                Predicted(
                    model=model.model,
                    method=name,
                    predicted=1 + (by_weights + by_logits) / floor,
                    measured=measured,
                    tokens=tokens_of(model),
                    enough=max(0.0, needed) / room * tokens_of(model) if room > 0 else None,
                )
            )
    return found


def tokens_of(model: ModelCost) -> int:
    """Of its batch; of an image patches of 16 x 16 pixels, and one for the class."""
    return model.examples * ((model.length // 16) ** 2 + 1 if model.kind == "ViT" else model.length)


@dataclass(frozen=True)
class Gpus:
    """A GPU and the links between several, at what they do and not at what they are sold for."""

    name: str
    matrix_flops: float
    """Per second in bfloat16, in the passes of a transformer."""
    memory_bytes: float
    """Per second."""
    link_bytes: float
    """Per second, of one GPU to those of other nodes, in one direction."""
    near_bytes: float
    """The same to those of its own node."""
    node: int
    """GPUs of a node."""

    def bytes_between(self, count: int) -> float:
        return self.near_bytes if count <= self.node else self.link_bytes


H100 = Gpus(
    "H100",
    matrix_flops=0.4 * 990e12,
    memory_bytes=0.8 * 3.35e12,
    link_bytes=0.8 * 50e9,
    near_bytes=0.8 * 450e9,
    node=8,
)
ASSUMED = (
    "Foretold, not measured: H100s, eight in a node, at 40% of their dense matrix throughput in bfloat16 and 80% of "
    "their memory's bandwidth, of NVLink's 450 GB/s within a node and of 400 Gbit/s for each GPU between nodes; 8,192 "
    "tokens a GPU and 32,000 words; weights in float32 and gathered in bfloat16, gradients scattered in float32; "
    "exchanges hidden behind the passes or the passes behind them; no recomputation. Each cell: time of a step to "
    "Adam's, what of it is neither passes nor update, and memory of a GPU without activations."
)


@dataclass(frozen=True)
class Job:
    """A language model and each GPU's part of the batch."""

    parameters: float
    tokens: int
    vocabulary: int


@dataclass(frozen=True)
class Forecast:
    """Of one method's step on N GPUs."""

    seconds: float
    over_adam: float
    added: float
    """The share of it that is neither passes nor update."""
    bytes_per_gpu: float
    """Weights, gradients, Adam's moments and the method's copies, without activations."""


def forecast(job: Job, gpus: Gpus, count: int, method: str, passes: tuple[int, int], work: WeightWork) -> Forecast:
    """A step of `method` under FSDP2 on `count` GPUs."""
    plain = _passes(job, gpus, count, (0, 1)) + _update(job, gpus, count)
    floor = _passes(job, gpus, count, passes) + _update(job, gpus, count)
    moved = 2 * work.bytes_per_parameter[COPY] + work.bytes_per_parameter[f"ascent of {ASCENTS.get(method, 'ASAM')}"]
    moved += work.bytes_per_parameter[EXCHANGE] if method in EXCHANGED else 0.0
    added = job.parameters / count * moved / gpus.memory_bytes if method in BACKED_UP else 0.0
    if method in WITH_DISTANCE:
        added += job.tokens * job.vocabulary * BYTES_OF_LOGIT / gpus.memory_bytes
    copies = {"TRAM-pre": 2}.get(method, 1) if method in BACKED_UP else 0
    return Forecast(
        seconds=floor + added,
        over_adam=(floor + added) / plain,
        added=added / (floor + added),
        bytes_per_gpu=4 * job.parameters / count * (4 + copies),
    )


def _passes(job: Job, gpus: Gpus, count: int, passes: tuple[int, int]) -> float:
    ungraded, graded = passes
    forward = 2 * job.parameters * job.tokens / gpus.matrix_flops
    exchanged = job.parameters * (count - 1) / count / gpus.bytes_between(count)
    # Gathered once in two bytes; for a backward once more, and gradients scattered in four.
    return ungraded * max(forward, 2 * exchanged) + graded * max(3 * forward, (2 + 2 + 4) * exchanged)


def _update(job: Job, gpus: Gpus, count: int) -> float:
    """Adam reads weight, gradient and two moments, and writes all but the gradient."""
    return 7 * 4 * job.parameters / count / gpus.memory_bytes
