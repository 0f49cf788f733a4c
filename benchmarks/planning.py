"""What runs take, estimated from their rows before anything is loaded. Nothing here imports torch."""

from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS
from benchmarks.variants import passes_of

SUSTAINED_FLOPS = 5e13
"""Per second and GPU: a sixth of an A100's bfloat16 peak, which batches of these sizes should exceed."""
ASSUMPTION = (
    "GPU-hours are an estimate: the arithmetic of the training passes at 50 TFLOP/s sustained, a sixth of an A100's "
    "bf16 peak"
)


def training_steps(run: Run) -> int:
    """All steps of a run, over all domains of a sequence."""
    row = BENCHMARKS[run.benchmark]
    return 0 if passes_of(run.method) == (0, 0) else row.recipe.steps * (1 + len(row.sequence))


def expected_cost(run: Run) -> float:
    """What a run takes, in plain forward passes over a batch: a backward pass costs about two forward passes."""
    forward, backward = passes_of(run.method)
    return max(1, training_steps(run)) * (forward + 2 * backward)


def gpu_hours(run: Run) -> float:
    """Of training, summed over the GPUs; 0 where a laptop does.

    steps x examples x forward FLOP x (forward + 2 backward passes) / SUSTAINED_FLOPS, in hours.
    """
    row = BENCHMARKS[run.benchmark]
    if row.needs is None:
        return 0.0
    return expected_cost(run) * row.recipe.batch_size * row.needs.forward_flops / SUSTAINED_FLOPS / 3600
