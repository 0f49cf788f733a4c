"""What the report says, in a few lines for the terminal."""

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from analysis.claims.terminal import verdict_text
from analysis.report.folder import Written


def print_summary(written: Written, console: Console) -> None:
    """Runs, gaps, verdicts, and where the page is."""
    report = written.report
    console.print(Text(report.title, "bold"))
    console.print(Text(", ".join(f"{number} {noun}" for number, noun in report.facts)))
    for line in report.gaps:
        console.print(Text(line), soft_wrap=True)
    if report.verdicts:
        shown = RichTable(box=None, pad_edge=False, show_header=False)
        shown.add_column(justify="right")
        shown.add_column()
        for verdict, mark, count in report.verdicts:
            shown.add_row(str(count), verdict_text(f"{verdict} {mark}".rstrip()))
        console.print(Text("\nVerdicts on the paper's claims", "bold"))
        console.print(shown)
    kept = f"{len(report.tables)} tables, {len(report.pictures)} figures"
    console.print(Text(f"\n{kept}, and the page with all of it: {written.page}"), soft_wrap=True)
