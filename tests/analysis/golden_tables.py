"""The stored tables of `golden/tables`: every table from `results/mini` and `results/published`, in every format.

    python -m tests.analysis.golden_tables

writes them anew after a wanted change; read what has changed before it is kept. Markdown, CSV and what a terminal shows
are stored as they are, for a person to read; of LaTeX and HTML, which say the same at several times the length, a
digest per file: `test_latex.py` and `test_rendering.py` look at what is in them.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from analysis.aggregate import aggregate
from analysis.cells import Table
from analysis.records import load
from analysis.render import FORMATS, MACROS, macros, print_table
from analysis.tables import all_tables

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "tables"
WIDTHS = {"mini": 100, "published": 80}
DIGESTED = ("tex", "html")


def golden_files() -> dict[str, str]:
    """Every file of the folder, by its name."""
    return {name: text for folder in WIDTHS for name, text in _files_of(folder).items()}


def _files_of(folder: str) -> Mapping[str, str]:
    results = load(ROOT / "results" / folder)
    tables = all_tables(results, aggregate(results))
    files = {f"{folder}.txt": "".join(_shown(table, WIDTHS[folder]) for table in tables)}
    digests = []
    for suffix, render in FORMATS.items():
        texts = {f"{table.name}.{suffix}": render(table) for table in tables}
        if suffix == "tex":
            texts[MACROS] = macros(tables)
        if suffix in DIGESTED:
            digests += [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in texts.items()]
        else:
            files[f"{folder}.{suffix}"] = "".join(f"==> {name} <==\n{text}\n" for name, text in texts.items())
    return files | {f"{folder}.sha256": "".join(digests)}


def _shown(table: Table, width: int) -> str:
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, highlight=False))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def write() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for stale in GOLDEN.iterdir():
        stale.unlink()
    for name, text in golden_files().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
