"""One table in every format, read back by that format's own parser: no text breaks out of its cell, none is lost."""

import csv
import io
import re
from html.parser import HTMLParser

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from analysis.cells import Cell, Column, Table, text_cell, text_column
from analysis.render import comma_separated, latex, macros, markdown, print_table, table_html
from analysis.render.latex import escaped, macro_name

NASTY = st.text(st.one_of(st.sampled_from(r"\`*_{}[]<>|~&#$%^\"'-+!()=@." + " \n\t\r"), st.characters(codec="utf-8")))
NUMBERS = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just("22.0"))


def one_line(text: str) -> str:
    """As a Markdown reader has it, who knows no NUL."""
    return " ".join(text.replace("\0", "\ufffd").split())


def small_table(label: str, text: str, note: str = "", heading: str = "one") -> Table:
    """Two rows of one number each, in two sections."""
    return Table(
        name="small",
        title=text,
        caption=note,
        columns=(text_column(label), Column(text, (text,))),
        sections=(
            ((text_cell(label), Cell(text, (1.5,), "best", significant=True, below=(note,), hint=note)),),
            ((text_cell(text), Cell(label, (None,), "worst")),),
        ),
        notes=(note,),
        headings=(heading, "two"),
    )


# ------------------------------------------------------------------------------------------------------------- Markdown


def cells_of_markdown(text: str) -> list[list[str]]:
    """What a reader sees in each cell: text, and <br> as a line break."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and rows and token.level > 2:
            parts = [
                "\n" if child.content == "<br>" else "" if child.type == "html_inline" else child.content
                for child in token.children or ()
            ]
            rows[-1].append("".join(parts))
    return rows


@settings(deadline=None)
@given(label=NASTY, text=NASTY, note=NASTY, heading=NASTY)
def test_markdown_shows_what_the_cells_say(label: str, text: str, note: str, heading: str) -> None:
    table = small_table(label, text, note, heading)
    rows = cells_of_markdown(markdown(table))
    has_heading = bool(heading)
    label, text, note, heading = map(one_line, (label, text, note, heading))
    assert rows == [
        [label, text],
        *([[heading, ""]] if has_heading else []),
        [label, f"{text}*\n{note}"],
        ["two", ""],
        [text, label],
    ]


def test_markdown_marks() -> None:
    lines = markdown(small_table("SAM", "1.5", "a|b")).splitlines()
    assert "| SAM | **1.5**\\*<br>a\\|b |" in lines
    assert "| *one* |  |" in lines
    assert "| 1.5 | _SAM_ |" in lines
    assert lines[2] == "a\\|b Bold: best of a column; italic: worst."


# ------------------------------------------------------------------------------------------------------------------ CSV


@settings(deadline=None)
@given(label=NASTY, heading=NASTY, numbers=st.lists(NUMBERS, min_size=1, max_size=4))
def test_csv_gives_back_every_value(label: str, heading: str, numbers: list[float | int | str | None]) -> None:
    names = tuple(f"n{position}" for position in range(len(numbers)))
    columns = (text_column("method"), Column("x", names))
    table = Table("t", "", "", columns, (((text_cell(label), Cell("", tuple(numbers))),),), headings=(heading or "h",))
    rows = list(csv.reader(io.StringIO(comma_separated(table), newline="")))
    assert rows[0] == ["section", "method", *names]
    ((own_heading, own_label, *values),) = rows[1:]
    breaks = str.maketrans("\r\n", "  ")
    assert (own_heading, own_label) == ((heading or "h").translate(breaks), label.translate(breaks))
    for value, number in zip(values, numbers, strict=True):
        if number is None:
            assert value == ""
        elif isinstance(number, float):
            assert float(value) == float(f"{number:.9g}")
        else:
            assert value == str(number)


# ----------------------------------------------------------------------------------------------------------------- HTML


class Fragment(HTMLParser):
    """Every cell's tag, attributes and text; whether tags are closed in order."""

    VOID = ("br",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append((tag, dict(attrs), ""))
        if tag == "br":
            self.handle_data("\n")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            tag, attributes, text = self.cells[-1]
            self.cells[-1] = tag, attributes, text + data


def without_controls(text: str) -> str:
    """HTML knows no NUL and one kind of line break."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


@settings(deadline=None)
@given(label=NASTY, text=NASTY, note=NASTY, heading=NASTY)
@example(*['<b title="x">&amp;</b>'] * 4)
def test_html_shows_what_the_cells_say(label: str, text: str, note: str, heading: str) -> None:
    label, text, note, heading = map(without_controls, (label, text, note, heading))
    cells = Fragment(table_html(small_table(label, text, note, heading))).cells
    assert [cell[2] for cell in cells] == [
        label, text, *([heading] if heading else []), label, f"{text}*\n{note}", "two", text, label
    ]  # fmt: skip
    if not heading:
        cells.insert(2, ("th", {"scope": "rowgroup", "colspan": "2"}, ""))
    assert [cell[0] for cell in cells] == ["th", "th", "th", "th", "td", "th", "th", "td"]
    assert cells[4][1] == {"class": "number best significant", "data-value": "1.5"} | ({"title": note} if note else {})
    for position, part in ((3, label), (6, text)):
        assert cells[position][1]["data-value"] == part.replace("\n", " ")
    assert cells[7][1] == {"class": "number worst missing", "data-value": ""}
    assert [cell[1].get("scope") for cell in cells] == ["col", "col", "rowgroup", "row", None, "rowgroup", "row", None]
    assert cells[2][1]["colspan"] == "2"


# ---------------------------------------------------------------------------------------------------------------- LaTeX


ESCAPES = re.compile(
    r"\\[{}$&#%_]|\\text[a-z]+\{\}|\\(?:dots|char34)\{\}|\$[^$]*\$|\\[`'^~\"]\{\\?[A-Za-z]\}|(?<=[-'])\{\}(?=[-'])"
)
"""All that `escaped` makes of a character that it does not leave as it is."""


@settings(deadline=None)
@given(text=NASTY)
@example("--- ''' 10%")
def test_latex_leaves_no_character_with_a_meaning(text: str) -> None:
    rest = ESCAPES.sub("", escaped(text))
    assert not re.search(r"[\\{}$&#%_^~\n]", rest), rest
    assert rest.isascii()
    if not set(text) & set("–—“”"):
        assert not re.search("--|''", escaped(text)), "a ligature"


@settings(deadline=None)
@given(text=st.text(st.characters(codec="ascii", categories=["L", "N"])))
def test_latex_leaves_plain_words_alone(text: str) -> None:
    assert escaped(text) == text


@settings(deadline=None)
@given(parts=st.lists(NASTY, min_size=1, max_size=4))
def test_macro_names_are_letters_only(parts: list[str]) -> None:
    assert re.fullmatch("[A-Za-z]+", macro_name(*parts))


def test_macro_names_are_readable() -> None:
    assert macro_name("mini-m2d2", "TRAM-x", "ZS Avg") == "TramMiniMtwodtwoTRAMxZSAvg"
    assert macro_name("xnli", "ASAM+R3F", "En std") == "TramXnliASAMPlusRthreeFEnStd"
    assert macro_name("mini-xnli", "TRAM-x@std=0.03", "Zh") == "TramMiniXnliTRAMxAtStdIsZeroPointZerothreeZh"


@settings(deadline=None)
@given(labels=st.lists(NASTY, min_size=1, max_size=8), headings=st.lists(NASTY, min_size=1, max_size=3, unique=True))
def test_macros_never_collide(labels: list[str], headings: list[str]) -> None:
    column = Column("x", tuple(headings))
    row = [
        (text_cell(label), Cell("", tuple(float(position) for position in range(len(headings))))) for label in labels
    ]
    tables = [Table(name, "", "", (text_column("method"), column), (tuple(row),)) for name in ("a", "a-b", "aB")]
    names = re.findall(r"^\\newcommand\{\\([A-Za-z]+)\}", macros(tables), flags=re.MULTILINE)
    assert len(names) == len(set(names)) == 3 * len(labels) * len(headings)


def test_macros_hold_numbers_as_they_are_read() -> None:
    columns = (text_column("method"), Column("x", ("mean", "printed", "seeds", "gap", "word")))
    table = Table("t", "", "", columns, (((text_cell("SAM"), Cell("", (60.474, "22.0", 5, None, "yes"))),),))
    assert macros([table]).splitlines()[1:] == [
        r"\newcommand{\TramTSAMMean}{60.47}",
        r"\newcommand{\TramTSAMPrinted}{22.0}",
        r"\newcommand{\TramTSAMSeeds}{5}",
    ]


def test_latex_rows() -> None:
    text = latex(small_table("SAM", "-1.5 ± 0.2", "[x]"))
    assert r"SAM & \textbf{$-$1.5 $\pm$ 0.2}$^{*}$ \\" in text.splitlines()
    assert r" & \scriptsize [x] \\" in text.splitlines()
    assert latex(small_table("[SAM]", "*", "")).count(r"{[SAM]} & ") == 2


def test_a_long_table_goes_on_by_whole_sections_under_the_same_number() -> None:
    def section(name: str, rows: int) -> tuple[tuple[Cell, ...], ...]:
        return tuple((text_cell(f"{name}{row}"), Cell("1", (1,), below=("2",))) for row in range(rows))

    sections = (section("a", 20), section("b", 10), section("c", 40), section("d", 1))
    table = Table("t", "Title", "Caption.", (text_column("m"), Column("x", ("x",))), sections, ("Note.",))
    first, second, third = latex(table).split(r"\begin{table}")[1:]  # 40 + 20 lines, 80, and 2
    assert [rows in first for rows in ("a0 &", "a19 &", "b9 &", "c0 &")] == [True, True, True, False]
    assert [rows in second for rows in ("b9 &", "c0 &", "c39 &", "d0 &")] == [False, True, True, False]
    assert "d0 &" in third
    assert r"\caption{Title. Caption.}" in first
    for later in (second, third):
        assert r"\addtocounter{table}{-1}" in later
        assert r"\caption{Title (continued).}" in later
    assert [page.count(r"\label{") for page in (first, second, third)] == [1, 0, 0]
    assert ["Note." in page for page in (first, second, third)] == [False, False, True]


# ------------------------------------------------------------------------------------------------------------- terminal


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_table(table, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def wide_table(columns: int) -> Table:
    heads = [Column(f"domain {position}", (f"d{position}",)) for position in range(columns)]
    cells = [Cell(f"{position + 0.25:.2f}", (position + 0.25,)) for position in range(columns)]
    return Table("t", "Wide", "", (text_column("method"), *heads), (((text_cell("TRAM-prev"), *cells),),))


def test_what_is_too_wide_goes_below_under_the_same_label() -> None:
    for width in (40, 80, 100):
        text = printed(wide_table(20), width)
        lines = text.splitlines()
        assert max(map(len, lines)) <= width
        assert "…" not in text
        parts = [line for line in lines if line.startswith("TRAM-prev")]
        assert len(parts) > 1
        values = [value for line in parts for value in line.split()[1:]]
        assert values == [f"{position + 0.25:.2f}" for position in range(20)]


def test_what_fits_stays_together() -> None:
    text = printed(wide_table(5), 80)
    assert sum(line.startswith("TRAM-prev") for line in text.splitlines()) == 1


def test_a_label_that_a_section_shares_becomes_its_heading() -> None:
    rows = tuple((text_cell("mini-xnli"), text_cell(name), Cell("1", (1,))) for name in ("SAM", "ASAM"))
    columns = (text_column("benchmark"), text_column("method"), Column("x", ("x",)))
    lines = [line.strip() for line in printed(Table("t", "T", "", columns, (rows,), labels=2), 80).splitlines()]
    assert lines[lines.index("mini-xnli") + 1].split() == ["SAM", "1"]
    assert not any("benchmark" in line for line in lines)
