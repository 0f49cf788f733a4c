"""The report's page in a real browser, headless: sorts, leads somewhere, fits a phone, prints, and asks no network."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import analysis.figures.drawing as drawing
from analysis.figures import figures_of
from analysis.records import load
from analysis.report import write_report
from benchmarks.probes.record import write_probe_record
from tests.analysis.conftest import hand_score
from tests.analysis.report_pictures import CHROMIUM, FOLDER, PICTURES, Picture, take
from tests.analysis.synthetic import record, write_tree
from tests.analysis.synthetic_probes import probe_of

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
)

PHONE = 360
SHEET = 1031
"""CSS pixels across A4 in landscape, without its margins of 12 mm."""
READABLE = 4.5
"""The contrast that WCAG asks for, level AA."""
PATIENCE = 120_000.0
"""Milliseconds: a busy machine is no reason to fail."""


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a gap, a probe, a file that is left out, all claims, every table, and one figure."""
    folder = tmp_path_factory.mktemp("report")
    methods = {"mini-vision-letters": ("SGD", "SAM", "R3F"), "mini-m2d2": ("Adam", "SAM", "R3F", "TRAM-x")}
    suite = write_tree(folder / "results", methods, range(3), hand_score)
    write_tree(folder / "results", {"mini-vision-letters": ("TRAM-x",)}, range(2), hand_score)
    write_probe_record(probe_of(record("mini-m2d2", "TRAM-x", 0, hand_score), "sharpness"), folder / "results")
    bad = suite / "mini-m2d2" / "<img src=x onerror=alert(1)>" / "seed-0.json"
    bad.parent.mkdir()
    bad.write_text("{")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(drawing, "figures_of", lambda material, _: figures_of(material, ["overview"]))
        return write_report(load(suite), suite, folder / "report").page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The sandbox needs a user namespace, which containers seldom grant; the page is our own.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, page_path: Path) -> Iterator[Page]:
    """The page on a desktop; the test fails if it complains or asks for anything but itself."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(page_path.as_uri())
    yield opened
    opened.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_path.as_uri()]


def column(page: Page, table: str, number: int) -> list[str]:
    """What a column of a table is sorted by, from above."""
    return page.eval_on_selector_all(
        f"#{table} tbody tr:not(.section)", f"rows => rows.map(row => row.cells[{number}].dataset.value)"
    )


def heading(page: Page, table: str, number: int) -> Any:
    return page.locator(f"#{table} thead th").nth(number)


def test_a_click_on_a_heading_sorts_up_then_down_then_back(page: Page) -> None:
    was = column(page, "mini-m2d2", 1)
    number, button = heading(page, "mini-m2d2", 1), heading(page, "mini-m2d2", 1).locator("button")
    assert number.get_attribute("aria-sort") == "none"
    for order, expected in (
        ("ascending", sorted(was, key=float)),
        ("descending", sorted(was, key=float, reverse=True)),
        ("none", was),
    ):
        button.click()
        assert number.get_attribute("aria-sort") == order
        assert column(page, "mini-m2d2", 1) == expected
    assert was != sorted(was, key=float), "nothing was there to sort"


@pytest.mark.parametrize("pressed", ["Enter", "Space"])
def test_the_keyboard_sorts_too(page: Page, pressed: str) -> None:
    was = column(page, "mini-m2d2", 0)
    heading(page, "mini-m2d2", 0).locator("button").focus()
    page.keyboard.press(pressed)
    assert heading(page, "mini-m2d2", 0).get_attribute("aria-sort") == "ascending"
    assert column(page, "mini-m2d2", 0) == sorted(was, key=str.lower)


def test_one_column_is_sorted_at_a_time(page: Page) -> None:
    for number in (1, 2):
        heading(page, "mini-m2d2", number).locator("button").click()
    states = page.eval_on_selector_all("#mini-m2d2 th[aria-sort]", "all => all.map(one => one.ariaSort)")
    assert states.count("none") == len(states) - 1
    assert states[2] == "ascending"


def test_numbers_are_sorted_by_size_and_what_is_missing_stays_at_the_end(page: Page) -> None:
    """Differences to the baseline are of both signs, and that of the baseline to itself is none."""
    headings = page.locator("#mini-m2d2 thead th").all_inner_texts()
    number = next(index for index, text in enumerate(headings) if text.startswith("ZS Avg difference"))
    differences = sorted(map(float, filter(None, column(page, "mini-m2d2", number))))
    assert differences == pytest.approx([-1.1, 0.0, 1.1])
    for reverse in (False, True):
        heading(page, "mini-m2d2", number).locator("button").click()
        *there, missing = column(page, "mini-m2d2", number)
        assert list(map(float, there)) == sorted(differences, reverse=reverse)
        assert missing == ""


def test_numbers_are_no_words(page: Page) -> None:
    """As words, 10 would come before 9, and 1e-05 after both."""
    values = ["10", "9", "-2", "1e-05"]
    page.eval_on_selector_all(
        "#mini-m2d2 tbody tr",
        "(rows, values) => rows.forEach((row, index) => (row.cells[1].dataset.value = values[index]))",
        values,
    )
    heading(page, "mini-m2d2", 1).locator("button").click()
    assert column(page, "mini-m2d2", 1) == ["-2", "1e-05", "9", "10"]


def test_sections_keep_their_rows(page: Page) -> None:
    def sections() -> list[list[str]]:
        return page.eval_on_selector_all(
            "#claims tbody", "all => all.map(one => [...one.rows].map(row => row.cells[0].textContent).sort())"
        )

    was = sections()
    page.locator("#claims thead th button").nth(1).click()
    assert sections() == was


def test_every_link_leads_somewhere(page: Page, page_path: Path) -> None:
    links = set(page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))"))
    ids = page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    inside = {link.removeprefix("#") for link in links if link.startswith("#")}
    assert len(inside) > 20
    assert inside <= set(ids)
    files = [page_path.parent / link for link in links if not link.startswith("#")]
    assert len(files) > 20
    assert [file for file in files if not file.is_file()] == []


def test_a_method_leads_to_its_records(page: Page) -> None:
    target = page.locator("#runs-mini-vision-letters-TRAM-x")
    assert not target.is_visible()
    label = page.locator("#mini-vision-letters tbody th a", has_text="TRAM-x")
    assert label.get_attribute("title").startswith("TRAM-x on mini-vision-letters: seeds 0-1, commit")
    label.click()
    target.wait_for(state="visible")
    paths = target.locator("td:nth-child(5)").all_inner_texts()
    assert paths == [f"mini/mini-vision-letters/TRAM-x/seed-{seed}.json" for seed in (0, 1)]


def test_the_grid_says_what_is_missing(page: Page) -> None:
    cell = page.locator("#runs td[data-state=partial]", has=page.locator("a[href='#runs-mini-vision-letters-TRAM-x']"))
    assert cell.inner_text() == "2 of 5"
    assert cell.get_attribute("title") == "TRAM-x on mini-vision-letters: seeds 0-1; no record of seeds 2-4"
    assert page.locator("#runs td[data-state=missing]").first.inner_text() == "not run"


def test_a_verdict_filters_the_claims(page: Page) -> None:
    rows = page.locator("#claims tbody tr:not(.section)")
    everything = rows.count()
    told = {}
    for button in page.locator("#claims button[data-verdict]").all():
        verdict, count = re.fullmatch(r"(.*) (\d+)", button.inner_text()).groups()
        told[verdict] = int(count)
        button.click()
        shown = [row for row in rows.all() if row.is_visible()]
        assert len(shown) == int(count) < everything
        assert {row.locator(".badge").inner_text() for row in shown} == {verdict}
        assert page.locator("#claims button[aria-pressed=true]").count() == 1
    assert sum(told.values()) == everything
    button.click()
    assert sum(row.is_visible() for row in rows.all()) == everything


def test_nothing_overflows_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": PHONE, "height": 740})
    for part in page.locator("details").all():
        part.evaluate("part => part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    sticking_out = page.evaluate(
        """width => [...document.querySelectorAll("body *")]
            .filter(one => !one.closest(".scroll, nav, caption") && one.getBoundingClientRect().right > width + 0.5)
            .map(one => one.outerHTML.slice(0, 80))""",
        PHONE,
    )
    assert sticking_out == []
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth).length"
    )
    assert wide > 3, "no table is wide enough for this test to mean anything"


def test_it_prints(page: Page, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": SHEET, "height": 700})
    too_wide = page.eval_on_selector_all(
        "table, img", f"all => all.filter(one => one.getBoundingClientRect().right > {SHEET}).map(one => one.innerText)"
    )
    assert too_wide == []
    page.emulate_media(media=None)
    printed = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3


CONTRAST = """element => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue].map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  let ground = element;
  while (ground && (numbers(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) ground = ground.parentElement;
  const two = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(numbers).map(light);
  return (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]
    texts = ["p.lead", ".caption", ".note", "nav a", ".alert li", ".alert h2", "th[scope=row]", "small", "summary",
             "td[data-state] a", "td[data-state=missing]", "footer p", ".worst", "figcaption p", "thead th button",
             ".badge[data-verdict='not run']", ".verdicts button"]  # fmt: skip
    for text in texts:
        for element in page.locator(text).all()[:5]:
            assert element.evaluate(CONTRAST) >= READABLE, text
    badge = page.locator(".badge").first
    for verdict in ("replicated", "contradicted", "undecided", "not enough runs", "not run", "does not follow"):
        for mark in ("", "†"):
            badge.evaluate("(badge, [verdict, mark]) => Object.assign(badge.dataset, {verdict, mark})", [verdict, mark])
            assert badge.evaluate(CONTRAST) >= READABLE, f"{verdict} {mark}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_pictures_of_the_docs_can_be_taken_again(browser: Browser, page_path: Path, picture: Picture) -> None:
    png = take(picture, browser, page_path)
    assert struct.unpack(">II", png[16:24]) == (picture.width, picture.height)
    stored = (FOLDER / f"{picture.name}.png").read_bytes()
    assert stored[:24] == png[:24]
    assert f"figures/{picture.name}.png" in (FOLDER.parent / "report.md").read_text(encoding="utf-8")


def test_what_is_left_out_is_said_as_text(page: Page) -> None:
    alert = page.locator("#left-out").inner_text()
    assert alert.startswith("Left out: 1 file\n")
    assert "<img src=x onerror=alert(1)>/seed-0.json: not readable as JSON" in alert


def test_without_scripts_all_is_there(browser: Browser, page_path: Path) -> None:
    opened = browser.new_page(java_script_enabled=False)
    opened.goto(page_path.as_uri())
    assert opened.locator("#claims tbody tr.section").first.is_visible()
    assert opened.locator("#mini-m2d2 tbody tr").first.is_visible()
    opened.close()
