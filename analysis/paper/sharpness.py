"""The paper's Table 6: sharpness of the solutions, and how much of the pre-trained representation they keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isnan, log10, nan

import numpy as np

from analysis.cells import Cell, Column, Mark, Row, Table, text_cell, text_column
from analysis.methods import in_order
from analysis.paper.material import Material
from analysis.paper.scores import why_published
from analysis.paper.sections import sectioned, trained
from analysis.published import read_table
from benchmarks.probes.record import ProbeRecord
from benchmarks.registry import BENCHMARKS
from benchmarks.row import Benchmark

NAME, NUMBER, OF = "table_06_sharpness_cka", 6, "xnli"
SHARPNESS, CKA = "sharpness", "cka"

_COLUMNS = (
    # heading, columns of the published table: the number, and its deviation over languages
    ("sharpness, train", "sharpness_En", None),
    ("sharpness, ZS", "sharpness_ZS", "sharpness_ZS_std"),
    ("Pearson", "pearson", "pearson_std"),
    ("CKA, train", "cka_En", None),
    ("CKA, ZS", "cka_ZS", "cka_ZS_std"),
)


@dataclass(frozen=True)
class Spread:
    """A mean and the standard deviation (ddof 1) around it, NaN where there is none; or why there is neither."""

    mean: float = nan
    std: float = nan
    missing: str = ""


@dataclass(frozen=True)
class Flatness:
    """What the probes of one method say, in the order of the table's columns."""

    spreads: tuple[Spread, ...]
    seeds: tuple[int, int] = (0, 0)
    """Of sharpness, and of CKA."""


def table_06_sharpness_cka(material: Material) -> list[Table]:
    """One table for each benchmark that was probed; the paper's numbers alone where none was that stands beside it."""
    by_run: dict[str, dict[str, list[ProbeRecord]]] = {}
    for record in material.probes:
        if record.probe in (SHARPNESS, CKA) and record.benchmark in BENCHMARKS:
            by_run.setdefault(record.benchmark, {}).setdefault(record.method, []).append(record)
    beside = {sheet.name for sheet in material.beside(OF)}
    tables = [
        _own_table(BENCHMARKS[name], by_run[name], name in beside, _lost(material, name))
        for name in BENCHMARKS
        if name in by_run
    ]
    if OF in material.paper and material.has("xnli") and not beside & by_run.keys():
        tables.append(_published_table(material))
    return tables


def flatness(records: Sequence[ProbeRecord], row: Benchmark) -> Flatness:
    """Sharpness and CKA on the training domain, mean and deviation over seeds, and on the others, mean over seeds, then
    mean and deviation over domains; Pearson's r over seeds between the sharpness of both, likewise over domains."""
    sharpness, cka = _by_seed(records, SHARPNESS, row), _by_seed(records, CKA, row)
    spreads = (
        _over_seeds(sharpness),
        _over_domains(sharpness),
        _pearson(sharpness),
        _over_seeds(cka),
        _over_domains(cka),
    )
    return Flatness(spreads, (len(sharpness), len(cka)))


def _by_seed(records: Sequence[ProbeRecord], probe: str, row: Benchmark) -> np.ndarray:
    """(seeds, domains), the training domain first; NaN where a record lacks a domain."""
    chosen = sorted((record for record in records if record.probe == probe), key=lambda record: record.seed)
    values = [[record.metrics.get(f"test/{probe}/{domain}", nan) for domain in row.domains] for record in chosen]
    return np.array(values, dtype=float).reshape(len(chosen), len(row.domains))


def _over_seeds(values: np.ndarray) -> Spread:
    return _spread(values[:, 0]) if len(values) else Spread(missing="not probed")


def _over_domains(values: np.ndarray) -> Spread:
    return _spread(values[:, 1:].mean(axis=0)) if len(values) else Spread(missing="not probed")


def _pearson(values: np.ndarray) -> Spread:
    if len(values) < 3:
        return Spread(missing=f"{len(values)} of 3 seeds" if len(values) else "not probed")
    if np.isnan(values).any():
        return Spread(missing="a domain is missing")
    if (np.ptp(values, axis=0) == 0).any():
        return Spread(missing="all seeds equal")
    return _spread(np.corrcoef(values, rowvar=False)[0, 1:])


def _spread(values: np.ndarray) -> Spread:
    if np.isnan(values).any():
        return Spread(missing="a domain is missing")
    return Spread(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else nan)


def _lost(material: Material, benchmark: str) -> dict[str, list[str]]:
    """By method, a phrase on each of these probes whose file is left out."""
    lost: dict[str, list[str]] = {}
    for (name, method, seed, probe), why in sorted(material.lost_probes.items()):
        if name == benchmark and probe in (SHARPNESS, CKA):
            lost.setdefault(method, []).append(f"{method} seed {seed} {probe} {why}")
    return lost


def _own_table(
    row: Benchmark, records: Mapping[str, Sequence[ProbeRecord]], is_beside: bool, lost: Mapping[str, Sequence[str]]
) -> Table:
    found = {method: flatness(own, row) for method, own in records.items()}
    printed = read_table(NAME) if is_beside else {}
    marks = _flattest_and_sharpest({method: each for method, each in found.items() if trained(method)})
    same = row.name == OF
    phrases = [phrase for own in lost.values() for phrase in own]

    def table_row(method: str) -> Row:
        cells = [
            _cell(spread, printed.get(method, {}), names, marks.get((method, position)), same)
            for position, (spread, names) in enumerate(zip(found[method].spreads, _COLUMNS, strict=True))
        ]
        return (text_cell(method), *cells, _seeds_cell(found[method].seeds, len(lost.get(method, ()))))

    headings, sections = sectioned(found, table_row)
    notes = [SPREAD_NOTE]
    if is_beside and not same:
        notes.append(OTHER_DATA)
    if phrases:
        notes.append(f"No part of it: {'; '.join(phrases)}.")
    below = f" Below: the paper's, of {OF}{', and ours minus it' if same else ''}." if is_beside else ""
    return Table(
        name=NAME if is_beside else f"{NAME}_{row.name}",
        title=f"Table {NUMBER} of the paper: {row.name}, {row.title}",
        caption="ε-sharpness (Keskar; lower is flatter) and linear CKA with the model before training (higher: more is "
        f"kept), on {row.train_domain} and on the {len(row.zero_shot_domains)} zero-shot domains.{below}",
        columns=(text_column("method"), *map(_column, _COLUMNS), Column("seeds", ("sharpness seeds", "CKA seeds"))),
        sections=sections,
        notes=tuple(notes),
        headings=headings,
        benchmark=row.name,
    )


def _seeds_cell(seeds: tuple[int, int], files: int) -> Cell:
    """How many there are of each probe, in one number where it is the same, and how many files are left out."""
    counts = " and ".join(dict.fromkeys(str(count) for count in seeds if count))
    return Cell(f"{counts}; {files} {'file' if files == 1 else 'files'} left out" if files else counts, seeds)


SPREAD_NOTE = (
    "Train: mean over seeds ± their standard deviation. ZS: mean over seeds, then over domains ± the standard "
    "deviation over domains. Pearson: r over seeds between sharpness on the training domain and on each other one, "
    "mean ± standard deviation over those. The paper does not say what its deviations are over."
)


OTHER_DATA = (
    "Ours minus the paper's is in the CSV file alone: models and data are others, so that levels are not compared."
)


def _column(names: tuple[str, str, str | None]) -> Column:
    name = names[0]
    return Column(name, (name, f"{name} std", f"{name} published", f"{name} published std", f"{name} minus published"))


def _cell(
    spread: Spread, printed: Mapping[str, str], names: tuple[str, str, str | None], mark: Mark | None, same: bool
) -> Cell:
    number, deviation = printed.get(names[1]), printed.get(names[2]) if names[2] else None
    below: tuple[str, ...] = (_with_deviation(number, deviation),) if number else ()
    if spread.missing:
        return Cell(spread.missing, (None, None, number, deviation, None), below=below)
    difference = spread.mean - float(number) if number else None
    if same and difference is not None:
        below += (f"{difference:+.2f}",)
    std = None if isnan(spread.std) else spread.std
    decimals = _decimals(spread.mean)
    text = _with_deviation(f"{spread.mean:.{decimals}f}", None if std is None else f"{std:.{decimals}f}")
    return Cell(text, (spread.mean, std, number, deviation, difference), mark, below=below)


def _decimals(number: float) -> int:
    """Two, as the paper has, or as many as show three digits: models differ in sharpness by orders of magnitude."""
    return 2 if abs(number) >= 1 or number == 0 else min(2 - floor(log10(abs(number))), 6)


def _with_deviation(number: str, deviation: str | None) -> str:
    return f"{number} ± {deviation}" if deviation else number


def _flattest_and_sharpest(found: Mapping[str, Flatness]) -> dict[tuple[str, int], Mark]:
    """By method and column, of the columns of sharpness and the methods with most seeds, as the table shows them."""
    most = max((each.seeds[0] for each in found.values()), default=0)
    full = {method: each for method, each in found.items() if each.seeds[0] == most}
    marks: dict[tuple[str, int], Mark] = {}
    for column in (0, 1):
        spreads = {method: each.spreads[column] for method, each in full.items()}
        known = {method: each.mean for method, each in spreads.items() if not each.missing}
        texts = {method: f"{mean:.{_decimals(mean)}f}" for method, mean in known.items()}
        order = sorted(set(texts.values()), key=float)
        if len(order) > 1:
            marks |= {(method, column): "best" for method, text in texts.items() if text == order[0]}
            marks |= {(method, column): "worst" for method, text in texts.items() if text == order[-1]}
    return marks


def _published_table(material: Material) -> Table:
    printed = read_table(NAME)
    found = {
        method: Flatness(tuple(Spread(float(row[number])) for _, number, _ in _COLUMNS))
        for method, row in printed.items()
    }
    marks = _flattest_and_sharpest(found)

    def table_row(method: str) -> Row:
        cells = []
        for position, (_, number, deviation) in enumerate(_COLUMNS):
            values = (printed[method][number], printed[method][deviation] if deviation else None)
            cells.append(Cell(_with_deviation(*values), values, marks.get((method, position))))
        return (text_cell(method), *cells)

    headings, sections = sectioned(in_order(printed), table_row)
    missing = () if material.is_published else (f"Suite {material.suite} has no record of these probes beside {OF}.",)
    return Table(
        name=NAME,
        title=f"Table {NUMBER} of the paper: {OF}, {BENCHMARKS[OF].title}",
        caption="ε-sharpness (lower is flatter) in English and zero-shot, Pearson's r over seeds between the two, and "
        "linear CKA with the pre-trained model (higher: more is kept).",
        columns=(text_column("method"), *(Column(name, (name, f"{name} std")) for name, _, _ in _COLUMNS)),
        sections=sections,
        notes=(why_published(material, OF) if material.is_published else "The paper's numbers alone.", *missing),
        headings=headings,
    )
