"""The paper's Table 9: over methods, how the training domain's score goes with that of each other domain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import atanh, isnan, sqrt, tanh

import numpy as np
from scipy.special import ndtri, stdtr

from analysis.aggregate import ZERO_SHOT
from analysis.cells import NOTHING, Cell, Column, Row, Table, p_text, text_cell, text_column
from analysis.correlated import correlated_methods, left_out
from analysis.paper.material import Material
from analysis.published import read_rows
from analysis.sheets import Sheet, counterparts
from analysis.statistics import CONFIDENCE

NAME, NUMBER = "table_09_domain_correlation", 9
STEM = "STEM Avg"
SPLITS = {"m2d2-wiki": "Wiki", "m2d2-s2orc": "S2ORC"}
"""The paper's sheets by the name of their split in its Table 9."""
HALF_A_DIGIT = 0.05
"""How far a score may be from its printed one."""

ROUNDING_NOTE = (
    "Rounding allows: correlations that scores which round to those of Table 11 can have. It has one decimal, and on "
    "S2ORC eight of the eleven methods have 10.3 to 10.5 on the training domain, so that rounding alone can move ρ far."
)


@dataclass(frozen=True)
class Printed:
    """A row of the published table."""

    rho: str
    is_below: bool
    stem: bool | None


@dataclass(frozen=True)
class Line:
    """One domain: the scores of the methods on the training domain and on this one, and what the paper prints of it.

    `averages` are the paper's zero-shot averages, which a miniature's stands beside.
    """

    domain: str
    train: tuple[float, ...]
    other: tuple[float, ...]
    printed: Printed | None
    averages: tuple[Printed, ...] = ()

    @property
    def problem(self) -> str | None:
        """Why there is no correlation; None where there is one."""
        if len(self.train) < 3:
            return f"{len(self.train)} of 3 methods"
        if any(map(isnan, (*self.train, *self.other))):
            return "no score"
        return "all equal" if len(set(self.train)) == 1 or len(set(self.other)) == 1 else None

    @cached_property
    def rho(self) -> float | None:
        return None if self.problem else _r(np.array([self.train, self.other]))

    @property
    def difference(self) -> float | None:
        """Of what follows from the scores to what the paper prints."""
        return None if self.rho is None or self.printed is None else self.rho - float(self.printed.rho)


def table_09_domain_correlation(material: Material) -> list[Table]:
    """A section per benchmark: ours, or the paper's own scores where the results are the paper's."""
    if material.is_published:
        sheets = [sheet for sheet in material.paper.values() if sheet.name in SPLITS]
    else:
        sheets = [sheet for sheet in material.of("m2d2") if any(paper.name in SPLITS for paper in counterparts(sheet))]
    if not sheets:
        return []
    lines = {sheet.name: tuple(lines_of(sheet)) for sheet in sheets}
    has_stem = any(line.printed and line.printed.stem is not None for own in lines.values() for line in own)
    return [
        Table(
            name=NAME,
            title=f"Table {NUMBER} of the paper: training domain against the others, over methods",
            caption="Pearson's ρ, over methods, between perplexity on the training domain and on each other domain; "
            "95% Fisher interval, and p of the t test of ρ = 0.",
            columns=(
                text_column("benchmark"),
                text_column("domain"),
                *([text_column("STEM")] if has_stem else []),
                Column("ρ", ("rho", "methods")),
                Column("95% interval", ("low", "high")),
                Column("p", ("p",)),
                Column("paper", ("published", "published p below 0.01")),
                Column("minus paper", ("minus published",)),
                *([Column("rounding allows", ("lowest", "highest"))] if material.is_published else []),
            ),
            sections=tuple(
                tuple(_row(name, line, has_stem, material.is_published) for line in own) for name, own in lines.items()
            ),
            notes=_notes(material, sheets, lines),
            labels=2,
        )
    ]


def lines_of(sheet: Sheet, methods: Sequence[str] | None = None) -> Iterator[Line]:
    """A line for each zero-shot domain and their average, and for S2ORC the average of what the paper calls STEM.

    Over `methods`; those that are correlated unless told.
    """
    splits = [SPLITS[paper.name] for paper in counterparts(sheet) if paper.name in SPLITS]
    printed = printed_correlations(SPLITS[sheet.name]) if sheet.name in SPLITS else {}
    scores = sheet.mean.loc[list(correlated_methods(sheet) if methods is None else methods)]
    stem = [name for name, row in printed.items() if row.stem]
    if stem:
        scores = scores.assign(**{STEM: scores[stem].mean(axis="columns", skipna=False)})
    train = tuple(scores[sheet.train_domain].tolist())
    for domain in (*sheet.zero_shot_domains, ZERO_SHOT, *([STEM] if stem else [])):
        beside = domain == ZERO_SHOT and not printed
        averages = tuple(printed_correlations(split)[ZERO_SHOT] for split in splits) if beside else ()
        yield Line(domain, train, tuple(scores[domain].tolist()), printed.get(domain), averages)


def printed_correlations(split: str) -> dict[str, Printed]:
    """The published rows of one split, by column as sheets name it."""
    return {
        row["domain"].replace("_", " "): Printed(
            rho=row["rho"], is_below=row["p_below_0.01"] == "yes", stem={"yes": True, "no": False}.get(row["stem"])
        )
        for row in read_rows(NAME)
        if row["split"] == split
    }


def rounding_range(first: Sequence[float], second: Sequence[float], half: float = HALF_A_DIGIT) -> tuple[float, float]:
    """Correlations that values which round to these can have: every one between the two that are returned.

    Found by moving one value at a time by -half, 0 or half for as long as that helps, so that the true ends may lie
    further out; what lies between two that can be reached can be reached, as the correlation is continuous.
    """
    values = np.array([first, second], dtype=float)
    ends = []
    for sign in (-1, 1):
        shift, best, last = np.zeros_like(values), sign * _r(values), -np.inf
        while best > last + 1e-9:
            last = best
            for place in np.ndindex(shift.shape):
                tried = []
                for step in (-half, 0.0, half):
                    shift[place] = step
                    tried.append((sign * _r(values + shift), step))
                best, shift[place] = max(tried)
        ends.append(sign * best)
    return ends[0], ends[1]


def _r(values: np.ndarray) -> float:
    first, second = values - values.mean(axis=1, keepdims=True)
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))


def _row(benchmark: str, line: Line, has_stem: bool, is_published: bool) -> Row:
    stem = (
        {True: "yes", False: "no"}.get(line.printed.stem, "") if line.printed and line.printed.stem is not None else ""
    )
    cells = [text_cell(benchmark), text_cell(line.domain), *([text_cell(stem)] if has_stem else [])]
    cells += [*_correlation(line), _paper(line), _difference(line)]
    if is_published:
        low, high = rounding_range(line.train, line.other)
        cells.append(Cell(f"{low:+.3f} to {high:+.3f}", (low, high)))
    return tuple(cells)


def _correlation(line: Line) -> tuple[Cell, Cell, Cell]:
    methods = len(line.train)
    if line.rho is None:
        return Cell(line.problem or "", (None, methods)), Cell(NOTHING, (None, None)), Cell(NOTHING, (None,))
    low, high = fisher_interval(line.rho, methods)
    p = p_of_zero(line.rho, methods)
    return (
        Cell(f"{line.rho:+.3f}", (line.rho, methods), hint=f"{methods} methods"),
        Cell(f"{low:+.2f} to {high:+.2f}", (low, high)),
        Cell(p_text(p), (p,)),
    )


# `analysis.statistics.correlation` says the same, and more, with scipy.stats: that takes longer to load than every
# table takes to make.


def fisher_interval(rho: float, n: int) -> tuple[float, float]:
    """tanh(atanh ρ ± z(0.975) / √(n - 3)): Fisher's 95% interval, [-1, 1] for three points."""
    if n <= 3 or abs(rho) >= 1:
        return (-1.0, 1.0) if n <= 3 else (rho, rho)
    half_width = float(ndtri((1 + CONFIDENCE) / 2)) / sqrt(n - 3)
    return tanh(atanh(rho) - half_width), tanh(atanh(rho) + half_width)


def p_of_zero(rho: float, n: int) -> float:
    """Two-sided p of ρ = 0, by t = ρ √((n - 2) / (1 - ρ²)) with n - 2 degrees of freedom."""
    if abs(rho) >= 1:
        return 0.0
    return 2 * float(stdtr(n - 2, -abs(rho) * sqrt((n - 2) / (1 - rho**2))))


def _paper(line: Line) -> Cell:
    if line.printed:
        return Cell(f"{float(line.printed.rho):+.3f}", (line.printed.rho, "yes" if line.printed.is_below else "no"))
    return Cell(", ".join(f"{float(row.rho):+.3f}" for row in line.averages) or NOTHING, (None, None))


def _difference(line: Line) -> Cell:
    if line.difference is None:
        return Cell(NOTHING, (None,))
    return Cell(f"{round(line.difference, 3) + 0.0:+.3f}", (line.difference,))


def _notes(material: Material, sheets: Sequence[Sheet], lines: dict[str, tuple[Line, ...]]) -> tuple[str, ...]:
    counts = " and ".join(f"{len(own[0].train)} methods of {name}" for name, own in lines.items())
    which = "all but the model before training and the combinations"
    if material.is_published:
        over = f"Over {counts}: {which}. The paper's p are below 0.01."
        return (over, *(_gap_note(SPLITS[name], own) for name, own in lines.items()), ROUNDING_NOTE)
    notes = (
        f"Over {counts}: {which}, of those that the paper has. The paper's p are below 0.01.",
        *(_left_out_note(sheet, lines[sheet.name]) for sheet in sheets if left_out(sheet)),
    )
    beside = [SPLITS[paper.name] for sheet in sheets for paper in counterparts(sheet) if sheet.name not in SPLITS]
    if beside:
        return (*notes, f"The paper's averages are those of {' and '.join(dict.fromkeys(beside))}.")
    return notes


def _left_out_note(sheet: Sheet, lines: Sequence[Line]) -> str:
    """Who is left out and why, and where it makes all the difference."""
    out = left_out(sheet)
    named = ", ".join(f"{method} ({why})" for method, why in out.items())
    wider = lines_of(
        sheet, [method for method in sheet.methods if method in out or method in correlated_methods(sheet)]
    )
    turned = [
        f"{line.domain} {line.rho:+.3f} becomes {other.rho:+.3f}"
        for line, other in zip(lines, wider, strict=True)
        if line.rho is not None and other.rho is not None and line.rho * other.rho < 0
    ]
    signs = f"With all of them ρ turns its sign: {', '.join(turned)}." if turned else "With them no ρ turns its sign."
    return f"Left out on {sheet.name}: {named}. {signs}"


def _gap_note(split: str, lines: Sequence[Line]) -> str:
    """How far what follows from Table 11 is from what Table 9 prints."""
    off = sorted(((abs(line.difference or 0), line.domain) for line in lines), reverse=True)
    (largest, where), (second, _) = off[:2]
    return (
        f"{split}: what follows from Table 11 is off from what Table 9 prints by {largest:.3f} on {where}, and by at "
        f"most {second:.3f} on the others."
    )
