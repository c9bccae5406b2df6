"""A palette and a legend show the classes of a label file, and its numbers stay."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.legend import coloured, legend_of, legend_text, legends_text, write_coloured
from labelgrid.tasks.task import TaskDef

NAMES = ["wall", "floor, old", "box"]


def task(**options: Any) -> TaskDef:
    return TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": NAMES, **options}))


@pytest.mark.parametrize(
    "options", [{}, {"first": 1}, {"ids": {"7": "wall", "9": "floor, old", "200": "box"}}]
)
def test_a_file_keeps_its_numbers_and_shows_the_colours_of_the_legend(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    semseg = task(**options)
    value = np.arange(12).reshape(3, 4, 1) % 3
    valid = np.arange(12).reshape(3, 4) != 5
    if options.get("ids"):
        valid[:] = True
    path = tmp_path / "a.png"
    semseg.write(path, LabelArray(value.astype(np.int64), valid))
    path.write_bytes(coloured(semseg, path.read_bytes()))
    label = semseg.read(path)
    assert np.array_equal(label.valid, valid)
    assert np.array_equal(label.value[valid], value[valid])
    with Image.open(path) as picture:
        assert picture.mode == "P"
        numbers = np.asarray(picture)
        shown = np.asarray(picture.convert("RGB"))
    expected = semseg.render(value, valid)
    assert np.array_equal(shown[valid], expected[valid])
    for row in csv.DictReader(io.StringIO(legend_text(semseg))):
        here = numbers == int(row["number"])
        if row["name"] in NAMES:
            assert np.array_equal(here, valid & (value[..., 0] == NAMES.index(row["name"])))
        for colour in shown[here]:
            assert "#" + bytes(colour).hex() == row["colour"]


def test_declared_colours_and_other_kinds_of_files_stay_as_they_are(tmp_path: Path) -> None:
    named = task(colours={"wall": "#ff0000", "floor, old": "#00ff00", "box": "#0000ff"})
    path = tmp_path / "a.png"
    label = LabelArray(np.zeros((2, 3, 1), np.int64), np.ones((2, 3), np.bool_))
    named.write(path, label)
    assert coloured(named, path.read_bytes()) == path.read_bytes()
    assert {row.number for row in legend_of(named)} == {None}
    assert [row.colour for row in legend_of(named)] == [0xFF0000, 0xFF00, 0xFF]
    depth = TaskDef.of(TaskRow("depth", "depth", 1.0))
    assert coloured(depth, path.read_bytes()) == path.read_bytes()
    assert legend_text(depth) == ""


def test_a_written_prediction_shows_its_classes_and_reads_as_the_plain_file(tmp_path: Path) -> None:
    semseg = task()
    value = np.arange(12).reshape(3, 4, 1).astype(np.int64) % 3
    annotated = np.array([True, True, False])
    label = LabelArray(value % 2, np.arange(12).reshape(3, 4) != 5, annotated)
    semseg.write(tmp_path / "plain.png", label)
    write_coloured(semseg, tmp_path / "new/folder/a.png", label)
    plain, shown = semseg.read(tmp_path / "plain.png"), semseg.read(tmp_path / "new/folder/a.png")
    for name in ("value", "valid", "annotated"):
        assert np.array_equal(getattr(plain, name), getattr(shown, name)), name
    with Image.open(tmp_path / "new/folder/a.png") as picture:
        assert picture.mode == "P"
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["a.png"]


def test_more_classes_than_a_palette_has_stay_grey(tmp_path: Path) -> None:
    many = TaskDef.of(
        TaskRow("many", "semseg", 1.0, {"classes": [f"class {i}" for i in range(300)]})
    )
    label = LabelArray(np.full((2, 3, 1), 299, np.int64), np.ones((2, 3), np.bool_))
    write_coloured(many, tmp_path / "a.png", label)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "I;16" and picture.getpixel((0, 0)) == 299
    assert np.array_equal(many.read(tmp_path / "a.png").value, label.value)


def test_the_table_of_several_tasks_names_them() -> None:
    depth = TaskDef.of(TaskRow("depth", "depth", 1.0))
    assert legends_text([depth]) == ""
    rows = list(csv.DictReader(io.StringIO(legends_text([depth, task(first=1)]))))
    assert [(row["task"], row["number"], row["name"]) for row in rows] == [
        ("semseg", "1", "wall"),
        ("semseg", "2", "floor, old"),
        ("semseg", "3", "box"),
        ("semseg", "255", "not labelled"),
    ]
