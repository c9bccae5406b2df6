"""The brush in a real browser: strokes become the label, and nobody's work is lost."""

import numpy as np
from playwright.sync_api import expect

from labelgrid.api.reader import ProjectReader
from labelgrid.ledger.grid import Cell
from tests.browsers import drag, open_brush, opened, press, save
from tests.pages import cell_in, take_back


def test_strokes_become_the_label(browser, address, folder):
    cell = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project:
        before = project.label(cell)
    width = before.size[1]
    page = open_brush(browser, address, cell)
    page.get_by_label("size").fill("6")
    page.locator(".board").focus()
    press(page, "2")
    drag(page, (4, 10), (width - 4, 10))
    press(page, "1")
    drag(page, (4, 20), (width - 4, 20))
    press(page, "z")
    press(page, "e")
    drag(page, (4, 28), (width - 4, 28))
    save(page)
    with ProjectReader.open(folder) as project:
        after = project.label(cell)
        last = project.cell(cell).history()[-1]
    rows = slice(6, width - 6)
    assert (after.value[10, rows] == 1).all() and after.valid[10, rows].all()
    assert not after.valid[28, rows].any()
    assert np.array_equal(after.value[19:21], before.value[19:21])
    assert last["command"] == "import" and 0 < last["seconds"] < 120
    assert not page.faults


def test_a_label_that_knows_some_classes_alone_stays_one_unless_all_are_drawn(
    browser, address, folder
):
    cell = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project:
        project.change_task("semseg", classes=["hat"])
    page = open_brush(browser, address, cell)
    hat = page.get_by_role("radio", name="hat")
    expect(page.get_by_text("This label knows some classes alone")).to_be_visible()
    expect(hat).to_be_disabled()
    page.locator(".board").focus()
    press(page, "5")
    drag(page, (4, 10), (9, 10))
    save(page)
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
        assert label.annotated.tolist() == [True] * 4 + [False] and label.value[10, 6] == 0
    page.goto(f"{address}brush?cell={cell}")
    page.get_by_label("all classes are drawn now").check()
    expect(hat).to_be_enabled()
    hat.check()
    drag(page, (4, 10), (9, 10))
    save(page)
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
        assert label.annotated is None and label.value[10, 6] == 4
    assert not page.faults


def test_an_area_is_filled_undone_and_filled_again(browser, address, folder):
    cell = cell_in(folder, "missing", "semseg")
    page = open_brush(browser, address, cell)
    page.get_by_label("your name").fill("Ada")
    page.locator(".board").focus()
    for key in ("a", "3"):
        press(page, key)
    drag(page, (10, 10), (10, 10))
    for key in ("z", "4"):
        press(page, key)
    drag(page, (10, 10), (10, 10))
    for key in ("z", "y"):
        press(page, key)
    save(page)
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
        assert (label.value == 3).all() and label.valid.all()
        assert project.cell(cell).history()[-1]["annotator"] == "Ada"


def test_after_saving_the_next_request_of_the_task_is_drawn(browser, address, folder):
    with ProjectReader.open(folder) as project:
        missing = [row["image"] for row in project.cells(state="missing", task="semseg")]
        project.request([f"{image}:semseg" for image in missing[:2]])
        following = project.next_request(Cell(missing[0], "semseg"))
    page = open_brush(browser, address, f"{missing[0]}:semseg")
    press(page, "2")
    drag(page, (10, 10), (30, 30))
    save(page)
    expect(page).to_have_url(f"{address}brush?cell={following.image_id}%3Asemseg&done=1")


def test_the_second_of_two_keeps_the_drawing_and_may_save_it(browser, address, folder):
    cell = cell_in(folder, "labelled", "semseg")
    page = open_brush(browser, address, cell)
    take_back(folder, cell)
    press(page, "2")
    drag(page, (10, 10), (20, 10))
    drawn = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("was changed since you opened this page")
    assert page.evaluate("document.querySelector('canvas').toDataURL()") == drawn
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the drawing").click()
    assert download.value.suggested_filename.endswith(".png")
    with ProjectReader.open(folder) as project:
        assert project.cell(cell).history()[-1]["after"] == "missing"


def test_all_that_the_brush_can_do_is_reached_by_keys(browser, address, folder):
    page = open_brush(browser, address, cell_in(folder, "labelled", "semseg"))
    page.locator(".board").focus()
    names = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        names.add(page.evaluate("document.activeElement.name || ''"))
    wanted = {"save", "undo", "redo", "tool", "region", "size", "nearer", "farther", "fit"}
    assert wanted | {"start", "again"} <= names


def test_classes_from_the_tenth_on_have_keys(browser, address, folder):
    with ProjectReader.open(folder) as project:
        count = len(project.tasks["semseg"].class_names)
        project.change_task("semseg", classes=[f"class {place}" for place in range(count + 1, 13)])
    page = open_brush(browser, address, cell_in(folder, "missing", "semseg"))
    page.locator(".board").focus()
    for key, place in (("0", 10), ("Shift+Digit1", 11), ("Shift+Digit2", 12), ("1", 1)):
        press(page, key)
        chosen = page.locator("[name=region]:checked")
        assert chosen.get_attribute("value") == str(place - 1)
    press(page, "Shift+Digit9")  # there is none
    assert page.locator("[name=region]:checked").get_attribute("value") == "0"
    assert not page.faults


def test_depth_has_no_brush(browser, address, folder):
    cell = cell_in(folder, "labelled", "depth")
    page = opened(browser)
    image, _, task = cell.rpartition(":")
    page.goto(f"{address}image?image={image}&shown={task}")
    expect(page.get_by_alt_text("Label of depth")).to_be_visible()
    assert page.locator("a.brush").count() == 0
    page.goto(f"{address}brush?cell={cell}")
    expect(page.get_by_text("measured, not drawn")).to_be_visible()
