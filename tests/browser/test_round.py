"""A round through the page by keys and mouse, on upright photographs: requested, drawn, imported, trained, reported."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from labelgrid.api.reader import ProjectReader
from tests.browser.test_brush import drag, save
from tests.browsers import PATIENCE, opened, press, served
from tests.conftest import NYUV2
from tests.jobs import stopped_afterwards
from tests.projects import RECIPE

expect.set_options(timeout=2 * PATIENCE)
HEIGHT, WIDTH = 96, 72
CLASSES = ("wall", "floor", "chair", "lamp")


def photographs(folder: Path, count: int) -> list[str]:
    """Upright photographs: crops of NYUv2's frames where these are there, or else drawn boxes."""
    folder.mkdir()
    real = sorted((NYUV2 / "images").glob("*.jpg"))[::50]
    names = [f"photo {number}.png" for number in range(count)]
    for number, name in enumerate(names):
        if real:
            upright = cv2.imread(str(real[number]))[:, 70:250]
            picture = cv2.resize(upright, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        else:
            rng = np.random.default_rng(number)
            picture = rng.integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            cv2.rectangle(picture, (10, 40), (50, 80), rng.integers(255, size=3).tolist(), -1)
        cv2.imwrite(str(folder / name), picture)
    return names


def class_map(number: int) -> bytes:
    """A label as a file: wall above floor, a chair between them."""
    drawn = np.full((HEIGHT, WIDTH), 1, np.uint8)
    drawn[: 40 + 3 * number] = 0
    drawn[30:60, 10 + number : 40] = 2
    return cv2.imencode(".png", drawn)[1].tobytes()


@pytest.fixture
def folder(tmp_path):
    photographs(tmp_path / "photos", 10)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    project = ProjectReader.create(
        tmp_path / "flat",
        images=[tmp_path / "photos"],
        tasks=[f"rooms:kind=semseg,classes={tmp_path / 'classes.txt'}"],
        holdout=2,
        recipe=str(tmp_path / "tiny.toml"),
        strategy="random_cells",
    )
    with stopped_afterwards(project.folder) as made:
        yield made


def test_labels_are_requested_drawn_hidden_locked_and_saved(browser, folder):
    page = opened(browser, viewport={"width": 1440, "height": 900})
    with served(folder) as address:
        page.goto(address)
        page.get_by_role("link", name="Grid", exact=True).click()
        page.locator("#filters").get_by_label("images").select_option("train")
        expect(page).to_have_url(f"{address}grid?split=train")  # at once
        boxes = page.locator(".tiles").get_by_role("checkbox")
        boxes.nth(0).click()
        boxes.nth(1).click(modifiers=["Shift"])
        page.get_by_role("button", name="Request missing labels").click()
        expect(page.get_by_text("Done: 2 changed.")).to_be_visible()
        page.locator("#filters").get_by_label("state").select_option("requested")
        tiles = page.locator(".tiles > li")
        expect(tiles).to_have_count(2)
        tiles.first.locator("a").first.click()
        press(page, "b")
        expect(page.locator(".board:not(.loading)")).to_be_visible()
        press(page, "a")
        press(page, "1")
        drag(page, (30, 30), (30, 30))  # all is wall
        press(page, "d")
        press(page, "2")
        drag(page, (8, 80), (64, 80))
        press(page, "l")
        press(page, "3")
        drag(page, (36, 60), (36, 90))  # stops at the floor, which is locked
        press(page, "h")
        shown = page.evaluate(COUNTED)
        press(page, "h")
        assert shown < page.evaluate(COUNTED) == HEIGHT * WIDTH
        page.get_by_role("button", name="Lock floor").click()
        assert (
            page.get_by_role("button", name="Lock floor").get_attribute("aria-pressed") == "false"
        )
        save(page)  # leads to the next request
        while page.get_by_text("There is no further request").count() == 0:
            expect(page.locator(".board:not(.loading)")).to_be_visible()
            press(page, "a")
            press(page, "2")
            drag(page, (30, 30), (30, 30))
            save(page)
    assert not page.faults
    with ProjectReader.open(folder) as project:
        rows = project.cells(state="labelled")
        assert len(rows) == 4 and not project.cells(state="requested")
        first = next(row for row in rows if row["split"] == "train")
        label = project.label(f"{first['image']}:{first['task']}").value[..., 0]
        hints = [project.cell(f"{row['image']}:rooms").history()[-1]["hint"] for row in rows]
    assert label[80, 36] == 1 and label[62, 36] == 2 and label[5, 5] == 0
    assert hints == ["nothing"] * 4


#: How many pixels of the canvas are shown.
COUNTED = """() => {
    const { width, height } = document.querySelector(".sheet canvas");
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(document.querySelector(".sheet canvas"), 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    return data.filter((value, index) => index % 4 === 3 && value).length;
}"""


def test_answers_are_imported_trained_on_resumed_and_reported(browser, folder):
    with ProjectReader.open(folder) as project:
        names = sorted({row["image"] for row in project.cells()})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"rooms/{name}", class_map(number))
    page = opened(browser, viewport={"width": 1440, "height": 900})
    with served(folder) as address:
        page.goto(f"{address}jobs")
        wrong = {"name": "my answers.json", "mimeType": "application/json", "buffer": b'{"a": 1}'}
        page.get_by_label("file", exact=True).set_input_files(wrong)
        page.get_by_role("button", name="Import the file").click()
        expect(page.locator(".job.failed")).to_be_visible()
        expect(page.locator(".fault")).to_contain_text("(my answers.json)")
        expect(page.get_by_role("button", name="Import it again")).to_be_visible()
        page.goto(f"{address}jobs")
        right = {"name": "right.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
        page.get_by_label("file", exact=True).set_input_files(right)
        page.get_by_text("Options").first.click()
        page.get_by_label("take labels that look wrong").first.check()
        page.get_by_role("button", name="Import the file").click()
        expect(page.locator(".job.ended")).to_be_visible()
        page.goto(f"{address}jobs")
        page.get_by_label("epochs").fill("100000")
        page.get_by_role("button", name="Train and measure").click()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        page.goto(f"{address}jobs")
        page.get_by_role("button", name="Train and measure").click()
        expect(page.locator(".job.ended")).to_be_visible()
        page.get_by_role("link", name="Classes", exact=True).click()
        page.get_by_role("link", name="chair").click()
        expect(page.locator(".tiles > li")).to_have_count(len(names))
        expect(page.locator(".tiles.upright .over")).to_have_count(len(names))
        whole = "[...document.querySelectorAll('.frame img')].every((picture) => "
        assert page.evaluate(whole + "getComputedStyle(picture).objectFit === 'contain')")
        width = page.locator(".tiles > li").first.bounding_box()["width"]
        page.locator("#tile-size").fill("400")
        assert page.locator(".tiles > li").first.bounding_box()["width"] > 1.5 * width
        page.goto(f"{address}jobs")
        page.get_by_role("button", name="Write the report").click()
        page.get_by_role("link", name="Open the report").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.url == f"{address}report"
    assert not page.faults
