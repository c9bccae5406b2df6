"""The page in a real browser: a user looks for a label, takes it back, and leaves by keys alone."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from labelgrid.api.reader import ProjectReader
from tests.browsers import AXE_RULES, PATIENCE, opened, press, served
from tests.pages import cell_in, labelled_project, take_back

SCHEMES = ("light", "dark")
WIDTHS = (1440, 800, 390)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A project that no test changes, and the address of its page."""
    folder = labelled_project(tmp_path_factory.mktemp("unchanged"))
    with served(folder) as address:
        yield folder, address


def test_a_label_is_found_looked_at_and_taken_back(browser, address, folder):
    cell = cell_in(folder, "labelled", "depth")
    page = opened(browser)
    page.goto(address)
    page.get_by_role("link", name="Grid", exact=True).click()
    for name, value in (("task", "depth"), ("state", "labelled"), ("images", "train")):
        page.locator(".filters").get_by_label(name).select_option(value)
        expect(page).to_have_url(re.compile(f"={value}"))  # at once
    assert page.locator(".tiles > li").count() == 2
    assert page.evaluate("[...document.images].every(image => image.complete || image.loading)")
    page.locator(".tiles > li").first.get_by_role("link", name="depth").click()
    label = page.get_by_alt_text("Label of depth")
    label.wait_for()
    assert label.evaluate("image => image.naturalWidth") > 0
    page.get_by_label("opacity").fill("20")
    assert label.evaluate("image => getComputedStyle(image).opacity") == "0.2"
    page.get_by_role("button", name="Take the label back").click()
    page.get_by_text("withdrawn").wait_for()
    assert not page.faults
    with ProjectReader.open(folder) as project:
        assert project.cell(cell).history()[-1]["after"] == "missing"


def test_keys_lead_through_the_images_and_their_tasks(browser, address):
    page = opened(browser)
    page.goto(address + "grid")
    names = page.locator(".tiles .name").all_inner_texts()
    page.locator(".tiles > li > a").first.click()
    heading = page.locator("h1")
    expect(heading).to_have_text(names[0])
    for key, name in (("ArrowRight", names[1]), ("ArrowRight", names[2]), ("ArrowLeft", names[1])):
        press(page, key)
        expect(heading).to_have_text(name)
    chosen = page.locator(".tasks [aria-current]")
    first = chosen.inner_text().split()[0]
    press(page, "ArrowDown")
    expect(chosen).not_to_contain_text(first)
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    press(page, "g")
    page.wait_for_url("**/grid**")
    page.get_by_role("textbox", name="name").fill("x")
    page.get_by_role("textbox", name="name").press("g")
    assert "/grid" in page.url and not page.faults


def test_many_images_are_chosen_and_their_missing_labels_requested(browser, address, folder):
    page = opened(browser)
    page.goto(address + "grid?split=train&order=changed")
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.locator("summary")).to_have_text("Change chosen images: 3")
    images = [boxes.nth(number).get_attribute("value") for number in range(3)]
    page.locator(".chosen").get_by_label("task").select_option("depth")
    page.get_by_role("button", name="Request missing labels").click()
    expect(page.get_by_role("status").first).to_contain_text("changed")
    assert "order=changed" in page.url and not page.faults
    with ProjectReader.open(folder) as project:
        missing = {row["image"] for row in project.cells(state="missing", task="depth")}
    assert missing and not missing & set(images)


def test_a_conflict_is_told_and_nothing_changes(browser, address, folder):
    cell = cell_in(folder, "labelled", "depth")
    image, _, task = cell.rpartition(":")
    page = opened(browser)
    page.goto(f"{address}image?image={image}&shown={task}")
    take_back(folder, cell)
    page.get_by_role("button", name="Take the label back").click()
    page.get_by_role("heading", name="That is not possible any more").wait_for()
    with ProjectReader.open(folder) as project:
        assert [event["after"] for event in project.cell(cell).history()][-2:] == [
            "labelled",
            "missing",
        ]


def pages_of(folder):
    """The address of each page."""
    image = cell_in(folder, "labelled").rpartition(":")[0]
    pages = ["", "grid", "classes", f"image?image={image}", f"brush?cell={image}:semseg"]
    return [*pages, "jobs", "budget", "suspects", "round?number=1", "undo"]


@pytest.mark.parametrize(("scheme", "rules"), AXE_RULES)
def test_screen_readers_and_weak_eyes_find_no_serious_fault(browser, unchanged, scheme, rules):
    folder, address = unchanged
    page = opened(browser, color_scheme=scheme)
    for path in [*pages_of(folder), "nothing"]:
        page.goto(address + path, timeout=PATIENCE)
        found = Axe().run(page, options=rules).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not [(path, each["id"], each["nodes"][0]["html"]) for each in serious]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(browser, unchanged, width):
    folder, address = unchanged
    page = opened(browser, viewport={"width": width, "height": 800})
    for path in pages_of(folder):
        page.goto(address + path)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.locator("h1").is_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not page.faults


def test_every_page_is_shown_without_javascript_in_any_window(browser, unchanged):
    folder, address = unchanged
    page = opened(browser, java_script_enabled=False)
    for path in pages_of(folder):
        page.goto(address + path)
        for width, scheme in product(WIDTHS, SCHEMES):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            assert page.locator("h1").is_visible()
    assert not page.faults
