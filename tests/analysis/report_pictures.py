"""python -m tests.analysis.report_pictures: take the pictures of docs/report.md again, of the stored results."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from analysis.records import load
from analysis.report import write_report

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "figures"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@dataclass(frozen=True)
class Picture:
    """One picture: the window, the part of the page at its top, and by which column, largest first, that is sorted."""

    name: str
    width: int
    height: int
    part: str = ""
    column: int | None = None
    dark: bool = False


PICTURES = (
    Picture("report_claims", 1280, 860),
    Picture("report_table", 1280, 860, "table-table_03_vision", column=1),
    Picture("report_phone", 360, 740),
    Picture("report_dark", 1120, 740, "runs", dark=True),
)


def take(picture: Picture, browser: Browser, page_path: Path) -> bytes:
    """The picture as PNG."""
    size: ViewportSize = {"width": picture.width, "height": picture.height}
    page = browser.new_page(viewport=size, color_scheme="dark" if picture.dark else "light")
    page.goto(page_path.as_uri())
    if picture.part:
        part = page.locator(f"#{picture.part}")
        if picture.column is not None:
            part.locator("thead button").nth(picture.column).dblclick()
            page.mouse.move(0, 0)
        part.evaluate("part => part.scrollIntoView()")
    taken = page.screenshot()
    page.close()
    return taken


def main() -> None:
    results = ROOT / "results" / "mini"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_path = write_report(load(results), results, Path(folder)).page
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for picture in PICTURES:
            (FOLDER / f"{picture.name}.png").write_bytes(take(picture, browser, page_path))
        browser.close()


if __name__ == "__main__":
    main()
