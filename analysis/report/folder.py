"""The report's folder: the page, and beside it every table and figure as files."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.claims import judge
from analysis.claims.table import claims_table
from analysis.failures import read_failures
from analysis.figures import gather
from analysis.figures.drawing import Progress, drawing, silent
from analysis.records import Results, from_there
from analysis.render import FORMATS, write_tables
from analysis.report.content import Report
from analysis.report.page import html
from analysis.report.pictures import keep
from analysis.report.runs import grouped
from analysis.tables import all_tables
from benchmarks.record import write_atomically

PAGE = "index.html"
SOMEWHERE = Path("FOLDER")
"""What commands on the page name instead of a place on the disk of whoever made it: the page is the same everywhere."""
OF_THE_PAPER = "table_"
"""How the names of the paper's tables begin: they come first."""


@dataclass(frozen=True)
class Written:
    """The report, and where its page is."""

    report: Report
    page: Path


def write_report(
    results: Results,
    folder: Path,
    output: Path,
    benchmarks: Iterable[str] = (),
    with_pdf: bool = False,
    progress: Progress = silent,
) -> Written:
    """The report on the results of `folder`, below `output`; only on the named benchmarks, if any.

    With PDF, which takes longer to write than all the rest, figures are there as that too. Raises OSError where it
    cannot be written.
    """
    benchmarks = tuple(benchmarks)
    failures = read_failures(folder)
    material = gather(results, folder, benchmarks)
    remarks = results.remarks(benchmarks)
    if results.option:
        results = replace(results, root=SOMEWHERE)
    with drawing(material, ("png", "pdf") if with_pdf else ("png",), progress=progress) as finish:
        judged = judge(results, benchmarks)
        tables = all_tables(results, material.aggregated, benchmarks, failures)
        pictures, not_drawn = keep(finish(), output / "figures")
    report = Report(
        results=replace(results, left_out=tuple(from_there(line, folder) for line in results.left_out)),
        groups=grouped(results, benchmarks, failures),
        judged=judged,
        tables=tuple(sorted(tables, key=lambda table: not table.name.startswith(OF_THE_PAPER))),
        pictures=pictures,
        not_drawn=not_drawn,
    )
    write_tables((*([claims_table(judged, remarks)] if judged else []), *report.tables), output / "tables", FORMATS)
    # The page comes last: where it is, all that it leads to is.
    page = output / PAGE
    write_atomically(page, html(report).encode())
    return Written(report, page)
