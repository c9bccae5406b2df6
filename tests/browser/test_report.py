"""A report in a real browser: pictures first, few words above them, in any window, light or dark."""

from itertools import product

import pytest
from axe_playwright_python.sync_playwright import Axe

from labelgrid.api.reader import ProjectReader
from tests.browsers import AXE_RULES, opened
from tests.pages import labelled_project

#: The most words above the first photograph, and the most pixels.
WORDS = 60
PIXELS = 700
#: The text above an image, as a reader sees it.
ABOVE = """image => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let text = "";
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (image.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_PRECEDING
        && node.parentElement.checkVisibility()) text += " " + node.textContent;
  }
  return text;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = labelled_project(tmp_path_factory.mktemp("reported"))
    with ProjectReader.open(folder) as project:
        project.report()
    return folder / "report.html"


def test_the_first_photograph_is_near_the_top(browser, report) -> None:
    page = opened(browser, viewport={"width": 1440, "height": 900})
    page.goto(report.as_uri())
    first = page.locator("img").first
    assert first.evaluate("image => image.src").startswith("data:image/jpeg")
    assert first.bounding_box()["y"] <= PIXELS
    assert len(first.evaluate(ABOVE).split()) <= WORDS


def test_no_report_is_wider_than_the_window_and_helps_open_without_script(browser, report) -> None:
    page = opened(browser, viewport={"width": 1440, "height": 900})
    page.goto(report.as_uri())
    answer = page.get_by_text("A cell is one task of one image.")
    for width, scheme in product((1440, 800, 390), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not answer.is_visible()
        page.get_by_text("What is a cell?").click()
        assert answer.is_visible() and not page.faults
        page.get_by_text("What is a cell?").click()
    assert page.evaluate("[...document.images].every(image => image.naturalWidth)")


@pytest.mark.parametrize(("scheme", "rules"), AXE_RULES)
def test_no_report_has_a_serious_fault_for_readers_who_need_help(
    browser, report, scheme, rules
) -> None:
    page = opened(browser, color_scheme=scheme)
    # The report's own policy lets no script in, so the checker's is put in without it.
    page.set_content(report.read_text().replace("default-src 'none';", ""))
    found = Axe().run(page, options=rules).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not [(each["id"], each["nodes"][0]["html"]) for each in serious]
