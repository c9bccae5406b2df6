"""The page of an image in a real browser: values under the pointer, classes on and off, deeds."""

from playwright.sync_api import expect

from labelgrid.api.reader import ProjectReader
from tests.browsers import opened
from tests.pages import cell_in


def open_cell(browser, address, cell):
    image, _, task = cell.rpartition(":")
    page = opened(browser)
    page.goto(f"{address}image?image={image}&shown={task}")
    return page


def point(page, row, column, size):
    """Move the pointer to the middle of a pixel of the label."""
    box = page.locator(".stage .over").bounding_box()
    scale = min(box["width"] / size[1], box["height"] / size[0])
    page.mouse.move(box["x"] + (column + 0.5) * scale, box["y"] + (row + 0.5) * scale)


def test_the_value_under_the_pointer_is_that_of_the_label(browser, address, folder):
    for task in ("semseg", "depth"):
        cell = cell_in(folder, "labelled", task)
        with ProjectReader.open(folder) as project:
            label = project.label(cell)
            names = project.tasks[task].class_names
        page = open_cell(browser, address, cell)
        said = page.locator("#value")
        expect(page.locator("#value:not([hidden])")).to_have_count(1)
        for row, column in ((2, 3), (20, 30), (30, 10)):
            point(page, row, column, label.size)
            value = label.value[row, column, 0]
            text = names[value] if names else f"{value:.3f} m"
            expect(said).to_have_text(text if label.valid[row, column] else "not labelled")
        assert not page.faults


def test_a_class_is_hidden_and_shown_again(browser, address, folder):
    cell = cell_in(folder, "labelled", "semseg")
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
        name = project.tasks["semseg"].class_names[label.value[label.valid][0, 0]]
    page = open_cell(browser, address, cell)
    box = page.get_by_label(name, exact=True)
    box.uncheck()
    expect(page.locator("canvas.over")).to_have_count(1)
    shown = """() => {
        const canvas = document.querySelector("canvas.over");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, index) => index % 4 === 3 && value).length;
    }"""
    named = int((label.value[label.valid][:, 0] == label.value[label.valid][0, 0]).sum())
    assert page.evaluate(shown) == int(label.valid.sum()) - named
    box.check()
    assert page.evaluate(shown) == int(label.valid.sum())


def test_a_label_is_requested_noted_and_skipped_without_javascript(browser, address, folder):
    cell = cell_in(folder, "missing", "semseg")
    image, _, task = cell.rpartition(":")
    page = opened(browser, java_script_enabled=False)
    page.goto(f"{address}image?image={image}&shown={task}")
    page.get_by_role("button", name="Request it").click()
    page.get_by_text("Notes").click()
    page.get_by_label("note").fill("the mirror is hard")
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text("the mirror is hard")).to_be_visible()
    page.get_by_text("Skip the request").click()
    page.get_by_label("reason").fill("too dark")
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.get_by_text("skipped: too dark")).to_be_visible()
    with ProjectReader.open(folder) as project:
        assert [note.text for note in project.cell(cell).notes()] == ["the mirror is hard"]
        assert project.cell(cell).history()[-1]["after"] == "skipped"


def test_a_label_is_replaced_by_a_file(browser, address, folder, tmp_path):
    cell = cell_in(folder, "labelled", "normals")
    with ProjectReader.open(folder) as project:
        label = project.label(cell)
        path = tmp_path / "mine.png"
        project.tasks["normals"].write(path, label)
    page = open_cell(browser, address, cell)
    page.get_by_text("Replace the label by a file").click()
    page.get_by_label("label", exact=True).set_input_files(path)
    page.get_by_role("button", name="Replace").click()
    expect(page.locator(".history li").first).to_contain_text("labelled")
    assert not page.faults
