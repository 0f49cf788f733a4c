"""The paper's Tables 7 and 8: what is trained and tested on, and how much of it there is."""

from collections.abc import Sequence

from analysis.cells import NOTHING, Cell, Column, Row, Table, text_cell, text_column
from analysis.paper.material import Material
from analysis.published import read_rows
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS
from benchmarks.registry import ZERO_SHOT as UNTRAINED
from benchmarks.sources import M2D2Source, XNLISource

_M2D2 = "table_07_m2d2_splits"
_XNLI = "table_08_xnli_splits"
_WIKI_AND_S2ORC = {"Wiki": "m2d2-wiki", "S2ORC": "m2d2-s2orc"}


def table_07_m2d2_splits(material: Material) -> list[Table]:
    """The paper's sizes in tokens: a record does not hold those of ours, only how much a run sees."""
    if not material.has("m2d2"):
        return []
    wanted = [split for split, name in _WIKI_AND_S2ORC.items() if name in material.paper]
    rows = [row for row in read_rows(_M2D2) if row["split"] in wanted]

    def row(printed: dict[str, str]) -> Row:
        sizes = ("size_tokens", "train_tokens", "validation_tokens", "test_tokens")
        return (
            text_cell(printed["split"]),
            text_cell(printed["abbrev"]),
            text_cell(printed["domain"]),
            *(_size(printed[size]) for size in sizes),
        )

    table = Table(
        name=_M2D2,
        title="Table 7 of the paper: M2D2, domains and their sizes",
        caption="Tokens, as the paper prints them; train and validation of the training domain only.",
        columns=(
            text_column("split"),
            text_column("domain"),
            text_column("name"),
            *(Column(name, (f"{name} published",)) for name in ("size", "train", "validation", "test")),
        ),
        sections=tuple(tuple(row(each) for each in rows if each["split"] == split) for split in wanted),
        notes=(
            "The paper's numbers. How many tokens a split of ours has is not in a record: "
            "`python -m benchmarks prepare` counts them and shows them beside these.",
            *_seen(material, "m2d2"),
        ),
        labels=2,
    )
    return [table]


def table_08_xnli_splits(material: Material) -> list[Table]:
    """Sentence pairs by language: ours where the benchmark's row fixes them, else the paper's."""
    if not material.has("xnli"):
        return []
    source = BENCHMARKS["xnli"].source if any(sheet.name == "xnli" for sheet in material.own) else None
    exact = source if isinstance(source, XNLISource) else None

    def row(printed: dict[str, str]) -> Row:
        is_trained = bool(printed["train_sentences"])
        sizes = {
            "train_sentences": exact.train_size if exact and is_trained else None,
            "validation_sentences": exact.validation_size if exact else None,
            "test_sentences": exact.test_size if exact else None,
        }
        cells = [_size(printed[name], own) for name, own in sizes.items()]
        return (text_cell(printed["abbrev"]), text_cell(printed["language"]), *cells)

    names = ("train", "validation", "test")
    notes = (
        "Ours are those that the benchmark's row names and that are checked when the data are prepared. Below: the "
        "paper's. It prints no validation set for Zh; the data have one."
        if exact
        else "The paper's numbers. How many pairs a split of ours has is not in a record."
    )
    table = Table(
        name=_XNLI,
        title="Table 8 of the paper: XNLI, languages and their sizes",
        caption="Pairs of sentences. Trained on En only.",
        columns=(
            text_column("domain"),
            text_column("language"),
            *(Column(name, (name, f"{name} published") if exact else (f"{name} published",)) for name in names),
        ),
        sections=(tuple(row(each) for each in read_rows(_XNLI)),),
        notes=(notes, *_seen(material, "xnli")),
    )
    return [table]


def _size(printed: str, own: int | None = None) -> Cell:
    if own is None:
        return Cell(printed or NOTHING, (printed or None,))
    return Cell(f"{own:,}", (own, printed or None), below=(printed or NOTHING,))


def _seen(material: Material, family: str) -> tuple[str, ...]:
    """How much a run of ours trains on, by the recipe in its record."""
    notes = []
    for sheet in material.own:
        runs = [record for record in material.records if record.benchmark == sheet.name and record.method != UNTRAINED]
        if sheet.family == family and runs:
            notes.append(f"{sheet.name}: a run trains on {_amounts(runs)} of {sheet.train_domain}.")
    return tuple(notes)


def _amounts(runs: Sequence[Record]) -> str:
    source = BENCHMARKS[runs[0].benchmark].source
    block = f" of {source.block:,} tokens" if isinstance(source, M2D2Source) else ""
    amounts = sorted({(int(run.recipe["steps"]), int(run.recipe["batch_size"])) for run in runs})
    return " or ".join(f"{steps:,} steps of {batch} = {steps * batch:,} examples{block}" for steps, batch in amounts)
