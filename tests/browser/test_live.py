"""Learning while labelling in a real browser: ten photographs by brush, and what the eleventh opens with."""

import pytest
from playwright.sync_api import expect

from labelgrid.api.reader import ProjectReader
from labelgrid.web import jobs
from tests.browsers import PATIENCE, drag, open_brush, opened, press, save, served
from tests.jobs import learns, stopped_afterwards, wait_until
from tests.pages import labelled_project
from tests.projects import make_project

LABELLED = 10
SETTINGS = '[changes.backbone]\ntrain = "frozen"\n[changes.train]\nsteps = 100\n'
CANVAS = "document.querySelector('canvas').getContext('2d').getImageData(0, 0, %d, %d).data"

expect.set_options(timeout=2 * PATIENCE)


@pytest.fixture
def folder(tmp_path):
    project, _ = make_project(tmp_path, n=LABELLED + 3, holdout=0, tasks=("semseg",))
    with project:
        settings = project.folder / "labelgrid.toml"
        settings.write_text(settings.read_text() + SETTINGS)
    with ProjectReader.open(project.folder) as reader:
        missing = [row["image"] for row in reader.cells(state="missing")]
        reader.request([f"{image}:semseg" for image in missing])
    with stopped_afterwards(project.folder):
        yield project.folder


def requested(folder):
    with ProjectReader.open(folder) as project:
        rows = project.cells(state="requested", task="semseg")
    return [f"{row['image']}:semseg" for row in rows]


def faults(page):
    """What went wrong, but for labels that were refused at first, as all halves are alike."""
    return [fault for fault in page.faults if "422" not in fault]


def paint(page, size):
    """Paint the upper half as the first class, and the lower as the second."""
    height, width = size
    page.get_by_label("size", exact=False).first.fill(str(height // 2))
    for key, y in (("1", height // 4), ("2", 3 * height // 4)):
        page.locator(".board").focus()
        press(page, key)
        drag(page, (0, y), (width - 1, y))


def colours(page, size):
    """The colour that most pixels have, of the upper and of the lower half."""
    height, width = size
    pixels = list(page.evaluate(f"Array.from({CANVAS % (width, height)})"))
    halves = pixels[: len(pixels) // 2], pixels[len(pixels) // 2 :]
    most = []
    for half in halves:
        each = [tuple(half[start : start + 4]) for start in range(0, len(half), 4)]
        most.append(max(set(each), key=each.count))
    return most


def test_the_eleventh_photograph_opens_with_what_ten_taught(browser, folder):
    with served(folder) as address, ProjectReader.open(folder) as project:
        page = open_brush(browser, address, requested(folder)[0])
        expect(page.get_by_text("Learnt from")).to_have_count(0)
        page.get_by_role("button", name="Learn while labelling").click()
        expect(page.get_by_text("Waits for a first label.")).to_be_visible()
        for number in range(LABELLED):
            expect(page.locator(".loading")).to_have_count(0)
            cell = page.locator("#brush").get_attribute("data-cell")
            if number:
                expect(page.get_by_text("Learnt from")).to_be_visible()
            paint(page, project.image_size(cell.rpartition(":")[0]))
            save(page)
            expect(page).not_to_have_url(f"{address}brush?cell={cell.replace(':', '%3A')}&done=1")
        expect(page.get_by_text(f"Learnt from {LABELLED} labels.")).to_be_visible()
        cell = page.locator("#brush").get_attribute("data-cell")
        size = project.image_size(cell.rpartition(":")[0])
        taught = [page.locator(f"[name=region][value='{place}']") for place in (0, 1)]
        expected = []
        for radio in taught:
            code = radio.get_attribute("data-colour")
            expected.append((*bytes.fromhex(code[1:7]), 255))
        wait_until(lambda: colours(page, size) == expected)
        expect(page.locator("#live")).to_contain_text("live, not a result")
        assert (
            page.locator("[name=start] option:checked").inner_text()
            == "live, not a result: prediction"
        )
        save(page)
        assert project.cell(cell).history()[-1]["hint"] == "model"
        assert not project.disk.store.rounds() or not list((folder / "rounds").rglob("fit.json"))
        page.goto(f"{address}jobs")
        page.get_by_role("button", name="Stop").click()
        wait_until(lambda: not learns(project))
        assert jobs.shown(project, 1).state == "stopped"
    assert not faults(page)


def test_a_drawing_is_never_replaced_by_a_prediction(browser, folder):
    cells = requested(folder)
    with served(folder) as address, ProjectReader.open(folder) as project:
        page = open_brush(browser, address, cells[0])
        page.get_by_role("button", name="Learn while labelling").click()
        expect(page.get_by_text("Waits for a first label.")).to_be_visible()
        paint(page, project.image_size(cells[0].rpartition(":")[0]))
        other = open_brush(browser, address, cells[1])
        paint(other, project.image_size(cells[1].rpartition(":")[0]))
        drawn = page.evaluate("document.querySelector('canvas').toDataURL()")
        save(other)
        expect(page.get_by_text("“Start again” takes the newest.")).to_be_visible()
        assert page.evaluate("document.querySelector('canvas').toDataURL()") == drawn
        with page.expect_response(lambda answer: "layer=live" in answer.url) as read:
            page.get_by_role("button", name="Start again").click()
        read.value.finished()
        press(page, "f")
        save(page)
        assert project.cell(cells[0]).history()[-1]["hint"] == "model"
    assert not faults(page) and not faults(other)


def test_no_held_out_photograph_offers_to_learn(browser, tmp_path):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project:
        heldout = project.cells(task="semseg", split="heldout")[0]["image"]
    with served(folder) as address:
        page = opened(browser)
        page.goto(f"{address}brush?cell={heldout}:semseg")
        expect(page.get_by_text("No prediction is offered")).to_be_visible()
        expect(page.get_by_role("button", name="Learn while labelling")).to_have_count(0)
    assert not page.faults
