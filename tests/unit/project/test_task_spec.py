"""Laws of how tasks are said, on the command line and in a file."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelgridError, PluginError, ProjectError, RecipeError
from labelgrid.formats.codecs.classes import Options
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.task_spec import changed_row, read_colour_map, task_row, task_rows
from labelgrid.tasks.task import TaskDef

ROOMS = {"classes": ["wall", "floor", "bed"]}


COLOURS = {"wall": ["#800000"], "traffic light": ["#008000", "#00ff00"]}


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    (tmp_path / "rooms.txt").write_text("wall\n\n  floor \nbed\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "row"),
    [
        ("depth", TaskRow("depth", "depth", 1.0)),
        ("depth:", TaskRow("depth", "depth", 1.0)),
        ("depth:scale=0.01,cost=2.5", TaskRow("depth", "depth", 2.5, {"scale": 0.01})),
        (
            "depth: scale = 0.01 , disparity = true",
            TaskRow("depth", "depth", 1.0, {"scale": 0.01, "disparity": True}),
        ),
        ("far:kind=depth", TaskRow("far", "depth", 1.0)),
        ("semseg:rooms.txt", TaskRow("semseg", "semseg", 10.0, ROOMS)),
        ("parts:kind=semseg,classes=rooms.txt,cost=0", TaskRow("parts", "semseg", 0.0, ROOMS)),
        (
            'semseg:rooms.txt,ids={"1":"wall","2":"floor","3":"bed"},ignore=[],cost=1',
            TaskRow(
                "semseg",
                "semseg",
                1.0,
                {**ROOMS, "ids": {"1": "wall", "2": "floor", "3": "bed"}, "ignore": []},
            ),
        ),
    ],
)
def test_a_word_says_kind_cost_classes_and_options(classes: Path, words: str, row: TaskRow) -> None:
    assert task_row(words, classes) == row


def test_a_file_says_the_same_with_its_paths_beside_it(classes: Path) -> None:
    (classes / "tasks.toml").write_text(
        "[semseg]\nclasses = 'rooms.txt'\n"
        "[limbs]\nkind = 'semseg'\nclasses = ['arm', 'leg']\ncost = 4\nignore = [9]\n"
        "[depth]\nscale = 0.001\n"
    )
    assert task_rows(classes / "tasks.toml") == [
        TaskRow("semseg", "semseg", 10.0, ROOMS),
        TaskRow("limbs", "semseg", 4.0, {"classes": ["arm", "leg"], "ignore": [9]}),
        TaskRow("depth", "depth", 1.0, {"scale": 0.001}),
    ]


@pytest.mark.parametrize("name", ["Depth", "2d", "a-b", "", "a b", "../x", "_x"])
def test_a_name_that_cannot_be_a_folder_everywhere_is_refused(name: str) -> None:
    with pytest.raises(ProjectError, match="is not a valid task name"):
        task_row(f"{name}:kind=depth")


@pytest.mark.parametrize("cost", ["-1", "NaN", "Infinity", "true", "much", "[1]"])
def test_a_cost_is_a_number_from_0_up(cost: str) -> None:
    with pytest.raises(ProjectError, match="it must be a number from 0 up"):
        task_row(f"depth:cost={cost}")


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        (
            "depht",
            PluginError,
            "Did you mean 'depth'? Write --task depth, or --task depht:kind=depth. The kinds",
        ),
        (
            "far:kind=depht",
            PluginError,
            "Did you mean 'depth'? Write --task far:kind=depth. The kinds are",
        ),
        (
            "height",
            PluginError,
            "Say which kind it is, such as --task height:kind=depth. The kinds are",
        ),
        ("depth:skale=1", RecipeError, "skale: unknown key (did you mean 'scale'?) (task 'depth')"),
        (
            "depth:scale=big",
            RecipeError,
            "scale must be a number or a fraction such as \"1/256\"; it is 'big' (task 'depth')",
        ),
        ("depth:scale=0", RecipeError, "scale must be larger than 0; it is 0.0 (task 'depth')"),
        ("depth:rooms.txt", RecipeError, "classes: unknown key"),
        (
            "semseg",
            ProjectError,
            "has 0 classes; it needs at least 2.\n  Name a file with one class name per line: 'semseg:",
        ),
        ("semseg:one.txt", ProjectError, "has 1 classes"),
        ("semseg:nowhere.txt", ProjectError, "cannot be read: No such file or directory ("),
        ("semseg:image.txt", ProjectError, "cannot be read: it is not UTF-8 text ("),
        ("semseg:classes=3", RecipeError, "classes: "),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    classes: Path, words: str, kind: type[LabelgridError], text: str
) -> None:
    (classes / "one.txt").write_text("wall\n")
    (classes / "image.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(kind) as caught:
        task_row(words, classes)
    assert text in str(caught.value)


def test_a_file_that_is_no_table_of_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text("depth = 'yes'\n")
    with pytest.raises(ProjectError, match=r"Task 'depth' is not a table\.(.|\n)*Write \[depth\]"):
        task_rows(path)
    path.write_text("[depth\n")
    with pytest.raises(RecipeError, match="The file is not TOML"):
        task_rows(path)
    with pytest.raises(RecipeError, match="The file does not exist"):
        task_rows(tmp_path / "nowhere.toml")


def test_metrics_are_chosen_on_the_command_line_and_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "tasks.toml").write_text("[saliency]\nmetrics = { IoU = { eight_bit = true } }\n")
    rows = [
        *task_rows(tmp_path / "tasks.toml"),
        task_row('saliency:metrics={"IoU":{"eight_bit":true}}'),
    ]
    assert [TaskDef.of(row).metrics["IoU"].eight_bit for row in rows] == [True] * 2


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"cost": "nan"}, "cost=2"),
        ({"cost": -1}, "cost=2"),
        ({"classes": []}, "'classes=classes.txt' changes one"),
    ],
)
def test_a_wrong_change_is_refused_with_a_hint_that_works_for_a_task_that_is_there(
    values: dict[str, object], hint: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        changed_row(
            TaskRow("semseg", "semseg", 1.0, ROOMS), values, classes=(), merge={}, folder=Path()
        )
    assert hint in caught.value.next_step and "--task semseg:cost" not in caught.value.next_step


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
    "line", ["wall", "wall 128 0", "wall 256 0 0", "1 2 3", "wall -1 0 0", "wall #12345", "#123456"]
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
        assert isinstance(options, Options)
        assert options.positions == {0x800000: 0, 0x008000: 1, 0xFFFFFF: -1}
