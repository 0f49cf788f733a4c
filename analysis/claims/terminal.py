"""All claims in the terminal: a heading per claim, and a line per benchmark that fits into 80 columns."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from analysis.cells import NOTHING, p_text
from analysis.claims.judged import LUCK, Judged
from analysis.claims.table import CAPTION, PUBLISHED_CAPTION, difference_text, missing, notes, numbers_text, source

WIDE = 100
"""From here on there is room for the scores themselves."""

_STYLES = {
    "replicated": "bold green",
    "follows": "bold green",
    "contradicted": "bold red",
    "does not follow": "bold red",
    f"replicated {LUCK}": "green",
    f"follows {LUCK}": "green",
    f"contradicted {LUCK}": "red",
}
_HEADINGS = ("benchmark", "verdict", "difference", "p", "Holm p", "numbers")

Line = tuple[str, ...]


def print_claims(judged: Sequence[Judged], console: Console, remarks: Sequence[str] = ()) -> None:
    """Every claim with its verdicts; benchmarks of which all the same is to be said share a line."""
    published = any(one.origin == "published" for one in judged)
    shown = [position for position, name in enumerate(_HEADINGS) if console.width >= WIDE or name != "numbers"]
    claims = list(dict.fromkeys(one.claim for one in judged))
    blocks = {claim: _lines([one for one in judged if one.claim == claim]) for claim in claims}
    lines = [_HEADINGS, *(line for block in blocks.values() for line in block)]
    widths = [max(len(line[position]) for line in lines) for position in shown]
    console.print(Text(PUBLISHED_CAPTION if published else CAPTION))
    console.print(_grid([_HEADINGS], shown, widths))
    for claim, block in blocks.items():
        console.print(Text.assemble("\n", (claim.sentence, "bold"), (f" {source(claim, judged)}", "dim")))
        console.print(_grid(block, shown, widths))
    for note in (*remarks, *notes(judged)):
        console.print(Text(f"\n{note}"))
    commands = missing(judged)
    if commands:
        console.print("\nTo run what is missing:")
    for command in commands:
        console.print(f"    {command}", markup=False, soft_wrap=True)


def verdict_text(verdict: str) -> Text:
    """The verdict, with its mark if it has one, in its colour."""
    return Text(verdict, _STYLES.get(verdict, ""))


def _lines(judged: Sequence[Judged]) -> list[Line]:
    names: dict[Line, list[str]] = {}
    for one in judged:
        p, corrected = (NOTHING if p is None else p_text(p) for p in (one.evidence.p, one.corrected))
        said = (one.marked, difference_text(one), p, corrected, numbers_text(one))
        names.setdefault(said, []).append(one.benchmark)
    return [(found[0] if len(found) == 1 else f"{len(found)} benchmarks", *said) for said, found in names.items()]


def _grid(lines: Sequence[Line], shown: Sequence[int], widths: Sequence[int]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    for width in widths:
        grid.add_column(min_width=width, no_wrap=True)
    for line in lines:
        grid.add_row(*(verdict_text(line[position]) for position in shown))
    return grid
