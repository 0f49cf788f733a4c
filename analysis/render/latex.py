"""A table as LaTeX with booktabs, and its numbers as macros."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from analysis.cells import Cell, Column, Row, Table, Value, p_text

_MARKS = {"best": r"\textbf", "worst": r"\textit"}
_MARK_NOTE = "Bold: best of a column; italic: worst."

# Whoever includes the file has said \documentclass, which LaTeX then makes an error: that tells the two uses apart.
_BEGIN = r"""% \input this where \usepackage{booktabs,graphicx} is said, or compile it as it is.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass
  \def\TramEnd{}%
\else
  \documentclass{article}
  \usepackage[margin=2cm]{geometry}
  \usepackage{booktabs,graphicx}
  \begin{document}
  \def\TramEnd{\end{document}}%
\fi"""

_LINES = 60
"""Of a page, about."""

Section = tuple[str, tuple[Row, ...]]

# A table that is too wide or too tall for the page is made smaller, as a whole.
_FIT = r"""\ifdim\wd0>\linewidth\sbox0{\resizebox{\linewidth}{!}{\usebox0}}\fi
\ifdim\dimexpr\ht0+\dp0\relax>0.75\textheight\sbox0{\resizebox*{!}{0.75\textheight}{\usebox0}}\fi
\usebox0"""

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", "`": r"\textasciigrave{}",
    "±": r"$\pm$", "×": r"$\times$", "→": r"$\rightarrow$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "−": "$-$",
    "≤": r"$\leq$", "≥": r"$\geq$", "√": r"$\surd$", "∞": r"$\infty$", "Δ": r"$\Delta$", "δ": r"$\delta$",
    "ε": r"$\varepsilon$", "η": r"$\eta$", "θ": r"$\theta$", "λ": r"$\lambda$", "ρ": r"$\rho$", "σ": r"$\sigma$",
    "†": r"$\dagger$", "–": "--", "—": "---", "’": "'", "“": "``", "”": "''", "…": r"\dots{}", "½": r"$\frac{1}{2}$",
}  # fmt: skip
_ACCENTS = {"\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0308": r"\""}
_SPOKEN = {"@": "At", "=": "Is", "+": "Plus", ".": "Point"}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def latex(table: Table) -> str:
    """A `table` environment that compiles by itself and where it is included; see its first line.

    What is longer than a page goes on, by whole sections, in further ones of the same number. Prose is left out.
    """
    table = _without_prose(table)
    pages = list(_pages(table))
    lines = [_BEGIN]
    for number, page in enumerate(pages):
        notes = table.notes if number == len(pages) - 1 else ()
        lines += [r"\begin{table}[htbp]", r"\centering", *_head(table, number), *_tabular(table, page), _FIT]
        lines += [rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {escaped(note)}}}" for note in notes]
        lines.append(r"\end{table}")
    return "\n".join([*lines, r"\TramEnd"]) + "\n"


def macros(tables: Iterable[Table]) -> str:
    r"""A `\newcommand` for every number of every table: \Tram, the table, the row and the heading, as in

    \newcommand{\TramMiniMtwodtwoTRAMxZSAvg}{60.63}. Names that would be the same are told apart by a last letter.
    """
    named = [entry for table in tables for entry in _numbers(table)]
    lines = [
        rf"\newcommand{{\{name}}}{{{escaped(text)}}}"
        for name, text in zip(_distinct([name for name, _ in named]), (text for _, text in named), strict=True)
    ]
    return "\n".join(["% Every number of every table, by table, row and column.", *lines]) + "\n"


def macro_name(*parts: str) -> str:
    """A control sequence's name, letters only: `mini-m2d2`, `TRAM-x`, `ZS Avg` give TramMiniMtwodtwoTRAMxZSAvg."""
    return "Tram" + "".join(map(_camel, parts))


@cache
def escaped(text: str) -> str:
    """The text as LaTeX prints it, on one line; a character that the plain fonts have not becomes its code point."""
    one_line = " ".join(text.split()).translate(_PRINTED)
    return re.sub(r"([-'])(?=\1)", r"\1{}", one_line)  # two hyphens would be a dash, two apostrophes a quotation mark


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii():
        return character if character.isprintable() else " "
    base, *accents = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(accents) == 1 and accents[0] in _ACCENTS:
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"{_ACCENTS[accents[0]]}{{{dotless}}}"
    return f"[U+{ord(character):04X}]"


class _Printed(dict[int, str]):
    """By code point; asked for once each."""

    def __missing__(self, code: int) -> str:
        self[code] = _character(chr(code))
        return self[code]


_PRINTED = _Printed()


def _without_prose(table: Table) -> Table:
    kept = [position for position, column in enumerate(table.columns) if not column.is_prose]
    return replace(
        table,
        columns=tuple(table.columns[position] for position in kept),
        sections=tuple(tuple(tuple(row[position] for position in kept) for row in rows) for rows in table.sections),
    )


def _pages(table: Table) -> Iterator[list[Section]]:
    """The sections that stand on each page: as many as have `_LINES` lines, at least one."""
    page: list[Section] = []
    used = 0
    for heading, rows in table.named_sections:
        lines = bool(heading) + sum(1 + max(len(cell.below) for cell in row) for row in rows)
        if page and used + lines > _LINES:
            yield page
            page, used = [], 0
        page.append((heading, rows))
        used += lines
    yield page


def _head(table: Table, page: int) -> list[str]:
    title = escaped(table.title.rstrip("."))
    if page:
        return [r"\addtocounter{table}{-1}", rf"\caption{{{title} (continued).}}"]
    parts = [table.caption, _MARK_NOTE if table.has_marks else ""]
    caption = " ".join([f"{title}.", *(escaped(part) for part in parts if part)])
    return [rf"\caption{{{caption}}}", rf"\label{{tab:{re.sub('[^A-Za-z0-9.:-]', '-', table.name)}}}"]


def _tabular(table: Table, sections: Iterable[Section]) -> list[str]:
    """In box 0, whose size is not yet known."""
    columns = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [rf"\sbox0{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule"]
    lines.append(_line(escaped(column.name) for column in table.columns))
    for heading, rows in sections:
        lines.append(r"\midrule")
        if heading:
            lines.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textit{{{escaped(heading)}}}}} \\")
        lines += [line for row in rows for line in _row(row)]
    return [*lines, r"\bottomrule", r"\end{tabular}}"]


def _row(row: Row) -> list[str]:
    """The row, and a smaller one for each line below its cells."""
    lines = [_line(_cell(cell) for cell in row)]
    height = max(len(cell.below) for cell in row)
    for depth in range(height):
        texts = [cell.below[depth] if depth < len(cell.below) else "" for cell in row]
        lines.append(_line(rf"\scriptsize {_signed(text)}" if text else "" for text in texts))
    return [*lines, r"\addlinespace"] if height else lines


def _line(cells: Iterable[str]) -> str:
    # Where a line begins with [ or *, the end of the line before would take it for its own.
    return " & ".join(f"{{{cell}}}" if cell.startswith(("[", "*")) else cell for cell in cells) + r" \\"


def _cell(cell: Cell) -> str:
    star = "$^{*}$" if cell.significant else ""
    return (rf"{_MARKS[cell.mark]}{{{_signed(cell.text)}}}" if cell.mark else _signed(cell.text)) + star


@cache
def _signed(text: str) -> str:
    """With a minus sign before numbers, not a hyphen."""
    return re.sub(r"(?<!\S)([+-])(?=\d)", r"$\1$", escaped(text))


def _numbers(table: Table) -> Iterator[tuple[str, str]]:
    for row in table.rows:
        label = [cell.text for cell in row[: table.labels]]
        for column, cell in zip(table.columns[table.labels :], row[table.labels :], strict=True):
            if column.is_number:
                for heading, value in zip(column.values, cell.values, strict=True):
                    if _is_number(value):
                        yield macro_name(table.name, *label, heading), _printed(column, heading, value)


def _is_number(value: Value) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", value) is not None if isinstance(value, str) else value is not None


def _printed(column: Column, heading: str, value: Value) -> str:
    if isinstance(value, float) and heading.split()[-1:] == ["p"]:
        return p_text(value)
    return column.read(value) if isinstance(value, float) else str(value)


@cache
def _camel(text: str) -> str:
    """Letters of ASCII as they are, digits and the signs of settings in words; a word begins with a capital where
    none precedes it, so that TRAM-x is TRAMx."""
    for sign, word in _SPOKEN.items():
        text = text.replace(sign, f" {word} ")
    name = ""
    for word in re.findall(r"[A-Za-z0-9]+", text):
        letters = re.sub(r"\d", lambda digit: _DIGITS[int(digit[0])], word)
        name += letters if name[-1:].isupper() else letters[0].upper() + letters[1:]
    return name


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """The names, each after its first appearance with a letter more than was taken."""
    taken: set[str] = set()
    for name in names:
        while name in taken:
            name += "B"
        taken.add(name)
        yield name
