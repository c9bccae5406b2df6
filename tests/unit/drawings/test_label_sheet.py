"""Sheets of labels: pictures where the layout says, names that fit, whatever the sizes and numbers."""

import io

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import UsageError
from labelgrid.drawings import label_sheet
from labelgrid.drawings.label_sheet import Layout, SheetRow, SheetTask, Size, resize
from labelgrid.tasks.overview import Legend

RED = (210, 20, 30)


def sheet(
    rows: int, legend: Legend, size: tuple[int, int] = (60, 80), name: str = "a.jpg"
) -> np.ndarray:
    layout = Layout(1, rows)
    fitted = layout.fit(Size(*size))
    picture = np.full((*fitted, 3), RED, np.uint8)
    tasks = [SheetTask("semseg", "words " * 60, legend)]
    data = label_sheet.label_sheet(
        "Title", [SheetRow(name, picture, ["no new label"])] * rows, tasks, layout
    )
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_note_is_written_in_as_many_lines_as_it_needs() -> None:
    layout = Layout(1, 2)
    size = layout.fit(Size(60, 80))
    picture = np.full((*size, 3), RED, np.uint8)
    heights = []
    for words in (0, 2, 200):
        rows = [SheetRow("a.jpg", picture, [picture], "words " * words)] * 2
        page = label_sheet.label_sheet("Title", rows, [], layout, stripes=False)
        heights.append(Image.open(io.BytesIO(page)).height)
    bare, one, many = heights
    assert one == bare + label_sheet.LINE and many > one + 2 * label_sheet.LINE


def test_a_sheet_that_is_too_high_for_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_sheet, "MOST_ROWS", 100)
    with pytest.raises(UsageError, match="pixels high; 100 can be written"):
        sheet(1, Legend())


def is_red(pixels: np.ndarray) -> np.ndarray:
    return (pixels == RED).all(2)


@pytest.mark.parametrize("size", [(60, 80), (4000, 3000), (1, 900), (900, 1)])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_each_photograph_is_on_the_sheet_in_full(rows: int, size: tuple[int, int]) -> None:
    found = sheet(rows, Legend(), size)
    fitted = Layout(1, rows).fit(Size(*size))
    assert found.shape[1] == label_sheet.WIDTH
    assert is_red(found).sum() == rows * fitted.height * fitted.width


@pytest.mark.parametrize("tasks", range(1, 13))
def test_pictures_lie_side_by_side_inside_the_sheet(tasks: int) -> None:
    layout = Layout(tasks, 6)
    lefts = []
    for block in range(layout.blocks):
        lefts += [layout.left(block, column) for column in range(tasks + 1)]
    assert np.diff(lefts).min() > layout.cell
    assert lefts[-1] + layout.cell <= layout.width
    assert label_sheet.NARROWEST <= layout.cell <= label_sheet.WIDEST


def test_names_of_any_length_stay_inside_their_width() -> None:
    font = label_sheet._font(14)
    for text in ("short", "long/" * 100, "\n", "\u732b\u732b" * 200):
        assert font.getlength(label_sheet._shorten(text, font, 200)) <= 200
    short = label_sheet._shorten("begin" * 30 + "end", font, 200)
    assert short.startswith("begin") and short.endswith("end") and "…" in short


def test_a_wrapped_text_loses_no_word_and_fits() -> None:
    font = label_sheet._font(14)
    words = [f"word{number}" for number in range(200)]
    lines = label_sheet._wrap(" ".join(words), font, 300)
    assert " ".join(lines).split() == words
    assert max(font.getlength(line) for line in lines) <= 300


def test_every_colour_of_a_legend_is_on_the_sheet() -> None:
    colours = [(200, 3 * number, 255 - 4 * number) for number in range(60)]
    swatches = [(colour, f"class {number}" * 3) for number, colour in enumerate(colours)]
    found = {tuple(pixel) for pixel in sheet(1, Legend(swatches=swatches)).reshape(-1, 3).tolist()}
    assert set(colours) <= found


def test_a_scale_is_on_the_sheet_with_its_ends() -> None:
    scale = np.full((18, 100, 3), (1, 200, 3), np.uint8)
    found = sheet(1, Legend(scale=scale, ends=("near: 1 m", "far: 2 m")))
    assert (found == (1, 200, 3)).all(2).sum() == scale.shape[0] * scale.shape[1]


def test_a_sheet_without_legends_ends_after_its_pictures() -> None:
    layout = Layout(1, 1)
    rows = [SheetRow("a.jpg", "no photograph", ["no label"])]
    tasks = [SheetTask("semseg", "", Legend(swatches=[(RED, "wall")]))]
    whole = label_sheet.label_sheet("Title", rows, tasks, layout)
    plain = label_sheet.label_sheet("Title", rows, tasks, layout, legends=[])
    pictures = [np.asarray(Image.open(io.BytesIO(data))) for data in (whole, plain)]
    assert is_red(pictures[0]).any() and not is_red(pictures[1]).any()


def test_equal_sheets_are_equal_files() -> None:
    assert np.array_equal(sheet(2, Legend()), sheet(2, Legend()))


def test_a_photograph_is_resized_to_what_fits() -> None:
    grey = np.full((10, 20, 3), 77, np.uint8)
    for size in (Size(5, 10), Size(40, 80)):
        assert resize(grey, size).shape == (*size, 3) and (resize(grey, size) == 77).all()


def test_legends_alone_have_the_colours_and_the_width() -> None:
    swatches = [((200, 3 * number, 1), f"class {number}") for number in range(60)]
    tasks = [SheetTask("semseg", "", Legend(swatches=swatches)), SheetTask("depth", "", Legend())]
    found = label_sheet.legends(tasks, 500)
    assert found.shape[1] == 500 and found.dtype == np.uint8
    assert {colour for colour, _ in swatches} <= set(map(tuple, found.reshape(-1, 3).tolist()))
