"""The tables of docs/performance.md, each from one machine's record."""

from collections.abc import Callable, Iterable, Sequence

from analysis.cells import NOTHING, Cell, Column, Row, Table, text_cell, text_column
from analysis.performance.model import H100, LIMIT, Job, checked, forecast, tokens_of
from analysis.performance.targets import TARGETS
from benchmarks.performance.record import (
    Captured,
    Counts,
    DistanceCost,
    EndToEnd,
    Growth,
    Idea,
    ModelCost,
    Performance,
    Ratio,
    Roof,
    StepCost,
    WeightWork,
)

MEBIBYTE = 2**20
GRADIENT = "d with its gradient by one side"


def targets_table(performance: Performance) -> Table:
    rows = []
    for target in TARGETS:
        found = target.find(performance)
        verdict = "not measured" if found is None else "holds" if found.holds else "does not hold"
        measured = NOTHING if found is None else f"{found.text} ({found.where})" if found.where else found.text
        rows.append(tuple(map(text_cell, (target.what, target.limit, measured, verdict))))
    return _table("targets", ("what", "target", "measured, at worst", ""), rows)


def steps_table(performance: Performance, precision: str, ratio_of: Callable[[StepCost], Ratio | None]) -> Table:
    """A ratio of every step, a column for each model."""
    models = [model for model in performance.of(ModelCost) if model.precision == precision]
    names = list(dict.fromkeys(name for model in models for name in model.steps))
    rows: list[Row] = [
        (text_cell(name), *(_ratio(model, name, ratio_of) for model in models), _passes(models, name)) for name in names
    ]
    columns = [text_column("step"), *(Column(model.model, (model.model,)) for model in models), text_column("passes")]
    return Table("steps", "", "", tuple(columns), (tuple(rows),))


def memory_table(performance: Performance) -> Table:
    models = [
        model
        for model in performance.of(ModelCost)
        if any(cost.peak_bytes is not None for cost in model.steps.values())
    ]
    names = list(dict.fromkeys(name for model in models for name in model.steps))
    rows: list[Row] = [(text_cell(name), *(cell for model in models for cell in _bytes(model, name))) for name in names]
    columns = [text_column("step")]
    for model in models:
        columns += [Column(f"{model.model}: kept", (model.model,)), Column("peak MiB", (model.model,))]
    return Table("memory", "", "", tuple(columns), (tuple(rows),))


def passes_table(performance: Performance) -> Table:
    """The passes alone, and what share of the machine's throughput of matrix products the forward has."""
    roofs = performance.of(Roof)
    rows: list[Row] = []
    for model in performance.of(ModelCost):
        seconds = model.passes_seconds
        most = roofs[0].matrix_flops.get(model.precision) if roofs else None
        share = None if most is None else model.forward_flops / seconds["ungraded"] / most
        rows.append((
            text_cell(f"{model.model}, {model.precision}"),
            Cell(f"{model.parameters / 1e6:.1f}M", (model.parameters,)),
            Cell(f"{tokens_of(model):,}", (tokens_of(model),)),
            *(Cell(f"{1e3 * seconds[name]:,.0f}", (seconds[name],)) for name in ("ungraded", "graded", "update")),
            Cell(NOTHING if share is None else f"{share:.0%}", (share,)),
        ))  # fmt: skip
    columns = (
        text_column("model"), Column("parameters", ("parameters",)), Column("tokens of the batch", ("tokens",)),
        Column("forward, ms", ("ungraded",)), Column("forward and backward, ms", ("graded",)),
        Column("update, ms", ("update",)), Column("forward's share of the matrix throughput", ("share",)),
    )  # fmt: skip
    return Table("passes", "", "", columns, (tuple(rows),))


def graphs_table(performance: Performance) -> Table:
    """Steps replayed as one CUDA graph, or why they cannot be."""
    rows: list[Row] = []
    for captured in performance.of(Captured):
        for name, eager in captured.eager_seconds.items():
            replayed = captured.replayed_seconds.get(name)
            rows.append((
                text_cell(name),
                Cell(f"{1e3 * eager:,.1f}", (eager,)),
                Cell(NOTHING if replayed is None else f"{1e3 * replayed:,.1f}", (replayed,)),
                text_cell(captured.refused.get(name, "")),
            ))  # fmt: skip
    columns = (
        text_column("step"), Column("as usual, ms", ("eager",)), Column("as one graph, ms", ("replayed",)),
        text_column("why not"),
    )  # fmt: skip
    return Table("graphs", "", "", columns, (tuple(rows),))


def growth_table(performance: Performance) -> Table:
    rows = []
    for growth in performance.of(Growth):
        for name, costs in growth.costs.items():
            exponent = growth.exponents[name]
            rows.append((
                text_cell(f"{growth.unit}, by {growth.quantity}"),
                text_cell(name),
                text_cell(f"{_count(growth.sizes[0])} to {_count(growth.sizes[-1])}"),
                Cell(f"{costs[0]:.3g}", (costs[0],)),
                Cell(f"{costs[-1]:.3g}", (costs[-1],)),
                Cell(NOTHING if exponent is None else f"{exponent:.2f}", (exponent,)),
            ))  # fmt: skip
    columns = (*map(text_column, ("cost", "of", "from, to")), *(Column(n, (n,)) for n in ("first", "last", "exponent")))
    return Table("growth", "", "", columns, (tuple(rows),))


def ideas_table(performance: Performance) -> Table:
    rows = [
        (
            text_cell(idea.idea),
            text_cell(idea.instead_of),
            Cell(f"{idea.predicted:.2f}", (idea.predicted,)),
            Cell(f"{idea.measured.median:.2f}", (idea.measured.median,)),
            text_cell("yes" if idea.same_bits else "no"),
            text_cell(idea.decision),
        )
        for idea in performance.of(Idea)
    ]
    columns = (
        text_column("idea"), text_column("instead of"), Column("time to that, predicted", ("predicted",)),
        Column("measured", ("measured",)), text_column("same bits"), text_column(""),
    )  # fmt: skip
    return Table("ideas", "", "", columns, (tuple(rows),))


def weights_table(performance: Performance) -> Table:
    """What is done to the weights, beside a copy of as many bytes."""
    roofs = performance.of(Roof)
    rows = []
    for work in performance.of(WeightWork):
        for name, seconds in work.seconds.items():
            moved = work.bytes_per_parameter[name]
            share = moved * work.parameters / seconds / roofs[0].copy_bytes if roofs else None
            rows.append((
                text_cell(name),
                Cell(f"{1e9 * seconds / work.parameters:.2f}", (seconds,)),
                Cell(f"{moved:.0f}", (moved,)),
                Cell(NOTHING if share is None else f"{share:.0%}", (share,)),
            ))  # fmt: skip
    columns = (
        text_column("work on the weights"),
        Column("ns a parameter", ("seconds",)),
        Column("bytes a parameter", ("bytes",)),
        Column("of a large copy's bytes a second", ("share",)),
    )
    return Table("weights", "", "", columns, (tuple(rows),))


def distance_table(performance: Performance) -> Table:
    """What d takes, and what any exact d would: the reason why it takes that share of a forward."""
    rows = []
    for cost in performance.of(DistanceCost):
        logits = cost.rows * cost.vocabulary
        parts = {f"forward of {cost.model}": cost.forward_seconds, "d": cost.seconds}
        parts |= {"log-softmax, two": 2 * cost.pieces["log-softmax"], "exp, two": 2 * cost.pieces["exp"]}
        parts |= {"expm1, one": cost.pieces["expm1"], "sum, one": cost.pieces["sum"]}
        parts |= {GRADIENT: cost.gradient_seconds}
        parts |= {"backward of a log-softmax": cost.pieces["softmax backward"], "a product": cost.pieces["product"]}
        peaks = {"d": cost.extra_peak_bytes, GRADIENT: cost.gradient_peak_bytes}
        for name, seconds in parts.items():
            peak = peaks[name] / cost.logits_bytes if name in peaks else None
            rows.append((
                text_cell(name),
                Cell(f"{1e9 * seconds / logits:.2f}", (seconds,)),
                Cell(f"{seconds / cost.forward_seconds:.1%}", (seconds / cost.forward_seconds,)),
                Cell("" if peak is None else f"{peak:.2f}", (peak,)),
            ))  # fmt: skip
    columns = (
        text_column(""), Column("ns a logit", ("seconds",)), Column("of a forward", ("share",)),
        Column("extra peak, of one logits tensor", ("peak",)),
    )  # fmt: skip
    return Table("distance", "", "", columns, (tuple(rows),))


def launches_table(performance: Performance) -> Table:
    rows: list[Row] = []
    header: tuple[int, ...] = ()
    for counts in performance.of(Counts):
        header = counts.tensors
        for name, found in counts.launches.items():
            waits = counts.host_waits[name]
            cells = (Cell(str(count), (count,)) for count in found)
            rows.append((text_cell(name), *cells, Cell(str(waits), (waits,))))
    columns = (
        text_column("method"),
        *(Column(f"operators, {count} weights", (str(count),)) for count in header),
        Column("waits", ("waits",)),
    )
    return Table("launches", "", "", columns, (tuple(rows),))


def model_table(performance: Performance) -> Table:
    rows = [
        (
            text_cell(one.model),
            text_cell(one.method),
            Cell(f"{one.predicted:.3f}", (one.predicted,)),
            Cell(f"{one.measured:.3f}", (one.measured,)),
            Cell(f"{one.tokens:,}", (one.tokens,)),
            Cell("none" if one.enough is None else f"{one.enough:,.0f}", (one.enough,)),
        )
        for one in checked(performance)
    ]
    columns = (
        text_column("model"), text_column("method"), Column("over floor, predicted", ("predicted",)),
        Column("measured", ("measured",)), Column("tokens of the batch", ("tokens",)),
        Column(f"enough for {LIMIT}", ("enough",)),
    )  # fmt: skip
    return Table("model", "", "", columns, (tuple(rows),))


FORECAST = Job(parameters=13e9, tokens=8192, vocabulary=32_000)
COUNTS = (8, 64, 512)
FORECAST_PASSES = {"SAM": (0, 2), "ASAM": (0, 2), "FSAM": (0, 2), "TRAM-prev": (1, 2), "TRAM-x": (1, 2)}


def forecast_table(performance: Performance) -> Table:
    """13 billion parameters, 8,192 tokens a GPU, over N of them."""
    work = next(iter(performance.of(WeightWork)), None)
    rows: list[Row] = []
    if work is not None:
        for name, passes in FORECAST_PASSES.items():
            cells = []
            for count in COUNTS:
                found = forecast(FORECAST, H100, count, name, passes, work)
                text = f"{found.over_adam:.2f}, {found.added:.1%}, {found.bytes_per_gpu / 2**30:.1f} GiB"
                cells.append(Cell(text, (found.over_adam, found.added, found.bytes_per_gpu)))
            rows.append((text_cell(name), *cells))
    columns = (text_column("method"), *(Column(f"{count} GPUs", ("time", "added", "bytes")) for count in COUNTS))
    return Table("forecast", "", "", columns, (tuple(rows),))


def end_to_end_table(performance: Performance) -> Table:
    rows = []
    for command in performance.of(EndToEnd):
        whole = sum(command.seconds.values())
        for name, seconds in command.seconds.items():
            rows.append((
                text_cell(command.command),
                text_cell(name),
                Cell(f"{seconds:,.0f}", (seconds,)),
                Cell(f"{seconds / whole:.0%}", (seconds / whole,)),
            ))  # fmt: skip
    columns = (*map(text_column, ("command", "part")), Column("seconds", ("seconds",)), Column("share", ("share",)))
    return Table("end to end", "", "", columns, (tuple(rows),))


def _ratio(model: ModelCost, name: str, ratio_of: Callable[[StepCost], Ratio | None]) -> Cell:
    ratio = ratio_of(model.steps[name]) if name in model.steps else None
    if ratio is None:
        return Cell(NOTHING, (None,))
    spread = f"{ratio.low:.3f} to {ratio.high:.3f}"
    return Cell(f"{ratio.median:.3f}", (ratio.median, ratio.low, ratio.high), hint=spread)


def _passes(models: Iterable[ModelCost], name: str) -> Cell:
    for model in models:
        if name in model.steps:
            ungraded, graded = model.steps[name].passes
            return text_cell(f"{ungraded} + {graded}")
    return text_cell(NOTHING)


def _bytes(model: ModelCost, name: str) -> tuple[Cell, Cell]:
    cost = model.steps.get(name)
    if cost is None or cost.kept_bytes_per_parameter is None or cost.peak_bytes is None:
        return Cell(NOTHING, (None,)), Cell(NOTHING, (None,))
    kept = abs(cost.kept_bytes_per_parameter) if abs(cost.kept_bytes_per_parameter) < 0.005 else (
        cost.kept_bytes_per_parameter
    )  # fmt: skip
    peak = cost.peak_bytes / MEBIBYTE
    return Cell(f"{kept:.2f}", (cost.kept_bytes_per_parameter,)), Cell(f"{peak:.0f}", (peak,))


def _count(number: float) -> str:
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= scale:
            return f"{number / scale:.3g}{letter}"
    return f"{number:g}"


def _table(name: str, header: Sequence[str], rows: Sequence[Row]) -> Table:
    return Table(name, "", "", tuple(map(text_column, header)), (tuple(rows),))
