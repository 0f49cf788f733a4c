"""What is written as LaTeX, compiled by a real pdflatex: by itself, and included with all the others."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from analysis.aggregate import aggregate
from analysis.cells import Cell, Column, Table, text_cell, text_column
from analysis.claims import judge
from analysis.claims.table import claims_table
from analysis.records import load
from analysis.render import MACROS, macros, write_tables
from analysis.render.latex import escaped, latex
from analysis.tables import all_tables

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="no pdflatex: on Debian, apt-get install texlive-latex-base texlive-latex-recommended",
)


@cache
def tables_of(folder: str) -> tuple[Table, ...]:
    results = load(ROOT / "results" / folder)
    return all_tables(results, aggregate(results))


def compile_document(path: Path) -> str:
    """What pdflatex logs of a document that compiles; a box that sticks out fails too."""
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", path.name],
        cwd=path.parent, capture_output=True, check=False,
    )  # fmt: skip
    log = path.with_suffix(".log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2000:]
    problems = re.findall(r"^Overfull .*|^LaTeX Warning: Float too large.*|.*undefined.*", log, flags=re.MULTILINE)
    assert not problems
    assert "incomplete" not in log
    return log


def nasty_table() -> Table:
    """Every printable character of ASCII and Latin-1 and those that tables use, wherever a text can stand."""
    signs = "".join(map(chr, [*range(32, 127), *range(160, 256)])) + "±×→↑↓−≤≥√∞Δδεηθλρσ–—’“”…½†中"
    words = " ".join(signs[start : start + 2] for start in range(0, len(signs), 2))
    rows = tuple(
        (text_cell(start), Cell(start, (1.5,), "best", significant=True, below=(start, "-0.5")))
        for start in ("[x]", "*", "", "-1.5", "\\", "--", "''", "`")
    )
    return Table(
        "nasty_&%", words, words, (text_column("[a]"), Column("*", ("x",))), (rows,), (words,), headings=("[_^]",)
    )


def test_claims_are_printed_without_their_reasons_and_can_be_read(tmp_path: Path) -> None:
    """A table is made to fit the page: of its natural width, three fifths are legible."""
    text = latex(claims_table(judge(load(ROOT / "results" / "mini"))))
    assert r"Holm p & verdict \\" in text
    assert r"replicated $\dagger$ \\" in text
    (tmp_path / "claims.tex").write_text(
        text.replace(r"\ifdim\wd0", r"\typeout{wide \the\wd0 of \the\linewidth}\ifdim\wd0")
    )
    widths = re.findall(r"wide ([\d.]+)ptof ([\d.]+)pt", compile_document(tmp_path / "claims.tex"))
    assert len(widths) > 1
    assert all(float(line) / float(table) > 0.6 for table, line in widths)


@pytest.mark.parametrize("name", ["table_11_m2d2_wiki", "table_03_vision", "summary"])
def test_a_table_compiles_as_it_is(name: str, tmp_path: Path) -> None:
    (table,) = (table for table in tables_of("mini") if table.name == name)
    path = tmp_path / f"{name}.tex"
    path.write_text(latex(table), encoding="utf-8")
    assert "Output written" in compile_document(path)


def test_any_character_compiles(tmp_path: Path) -> None:
    path = tmp_path / "nasty.tex"
    path.write_text(latex(nasty_table()), encoding="utf-8")
    compile_document(path)


@pytest.mark.parametrize("folder", ["mini", "published"])
def test_all_tables_and_numbers_can_be_included(folder: str, tmp_path: Path) -> None:
    tables = tables_of(folder)
    write_tables(tables, tmp_path, ["tex"])
    inputs = "\n".join(rf"\input{{{table.name}}}\clearpage" for table in tables)
    names = re.findall(r"\\newcommand\{(\\[A-Za-z]+)\}", (tmp_path / MACROS).read_text(encoding="utf-8"))
    shown = "\n".join(rf"{name}{{}}\par" for name in names[::200])
    document = tmp_path / "document.tex"
    document.write_text(
        "\\documentclass{article}\n\\usepackage[margin=2cm]{geometry}\n\\usepackage{booktabs,graphicx}\n"
        f"\\input{{{MACROS}}}\n\\begin{{document}}\n{inputs}\n{shown}\n\\end{{document}}\n",
        encoding="utf-8",
    )
    compile_document(document)
    assert len(names) > 500


def test_a_number_is_read_as_it_is_printed(tmp_path: Path) -> None:
    """Through pdflatex and back: \\typeout writes what a macro expands to into the log."""
    columns = (text_column("method"), Column("ZS Avg", ("ZS Avg", "ZS Avg std", "p", "Holm p")))
    table = Table("mini-m2d2", "", "", columns, (((text_cell("TRAM-x"), Cell("", (60.626, 1e-5, 1e-13, 0.0042))),),))
    path = tmp_path / "numbers.tex"
    names = [f"\\TramMiniMtwodtwoTRAMx{heading}" for heading in ("ZSAvg", "ZSAvgStd", "P", "HolmP")]
    typeout = f"\\typeout{{<{'|'.join(names)}>}}"
    path.write_text(
        f"\\documentclass{{article}}\n{macros([table])}\\begin{{document}}x{typeout}\\end{{document}}", encoding="utf-8"
    )
    assert f"<60.63|{escaped('1e-05')}|\\textless {{}} 0.001|0.004>" in compile_document(path)
