"""Laws of colour maps: what a line says, and what is refused with its number."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.formats.codecs import classes
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.colour_map import read_colour_map
from labelgrid.project.task_spec import changed_row, task_row, task_rows
from labelgrid.tasks.task import TaskDef

COLOURS = {"wall": ["#800000"], "traffic light": ["#008000", "#00ff00"]}


def written(folder: Path, text: str) -> Path:
    path = folder / "colours.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "wall 128 0 0\ntraffic light 0 128 0\ntraffic light 0 255 0\n",
        "128 0 0 wall\n0 128 0\ttraffic light\n0 255 0\ttraffic light",
        "wall,128,0,0\ntraffic light,0,128,0\ntraffic light;0;255;0",
        "wall,#800000\n\n// a remark\ntraffic light #008000\ntraffic light: #00FF00\n",
        "# label:color_rgb:parts:actions\nwall:128,0,0::\ntraffic light:0,128,0::\n"
        "traffic light:0,255,0:head,hand:walk\n",
        "\ufeffwall 128 0 0\r\ntraffic light 0 128 0\r\ntraffic light 0 255 0\r\n",
    ],
)
def test_a_line_is_a_class_and_its_colour(tmp_path: Path, text: str) -> None:
    assert read_colour_map(written(tmp_path, text)) == COLOURS


@pytest.mark.parametrize(
    "line",
    ["wall", "wall 128 0", "wall 256 0 0", "1 2 3", "wall -1 0 0", "wall #12345", "#123456"],
)
def test_another_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(ProjectError, match="Line 2 of the colour map is no class with a colour"):
        read_colour_map(written(tmp_path, f"floor 1 2 3\n{line}\n"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be read: No such file"):
        read_colour_map(tmp_path / "nowhere.txt")
    (tmp_path / "image.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ProjectError, match="cannot be read: it is not UTF-8 text"):
        read_colour_map(tmp_path / "image.txt")


def test_a_task_names_a_colour_map_where_it_names_its_classes(tmp_path: Path) -> None:
    written(tmp_path, "wall 128 0 0\nfloor 0 128 0\nignore 255 255 255\n")
    (tmp_path / "classes.txt").write_text("wall\nfloor\n")
    (tmp_path / "tasks.toml").write_text(
        "[semseg]\nclasses = 'classes.txt'\ncolours = 'colours.txt'\n"
    )
    plain = TaskRow("semseg", "semseg", 10.0, {"classes": ["wall", "floor"]})
    words = task_row("semseg:classes.txt,colours=colours.txt", tmp_path)
    later = changed_row(plain, {"colours": "colours.txt"}, classes=(), merge={}, folder=tmp_path)
    rows = [words, later, *task_rows(tmp_path / "tasks.toml")]
    for row in rows:
        options = TaskDef.of(row).options
        assert isinstance(options, classes.Options)
        assert options.places == {0x800000: 0, 0x008000: 1, 0xFFFFFF: -1}
