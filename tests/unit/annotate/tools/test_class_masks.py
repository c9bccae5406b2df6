"""Laws of masks that are one PNG a class: how their names are read, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.tools import class_masks
from labelgrid.basics.errors import LabelError
from labelgrid.ledger.grid import Cell
from tests.campaigns import make_project
from tests.support import make_dataset

COVERS = ["labelgrid.annotate.mask_files", "labelgrid.annotate.tools.class_masks"]
SIZE = (8, 12)
Index = Callable[..., ProjectIndex]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A project with the images 0000.jpg and 0001.jpg."""
    made = make_dataset(tmp_path / "made", n=2, size=SIZE, tasks=("semseg", "saliency"))
    project = make_project(tmp_path / "project", made)

    def build(**options: object) -> ProjectIndex:
        return ProjectIndex(project.store, project.tasks(), ImportOptions(**options))  # type: ignore[arg-type]

    return build


def rows(top: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom] = 255
    return mask


def put(folder: Path, name: str, mask: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(folder / name)


def column(answers: Answers, task: str = "semseg") -> list[int]:
    """The first column of the only label, -1 where not labelled; there is no fault."""
    assert not answers.faults
    (answer,) = answers.labels
    assert answer.cell == Cell("0000.jpg", task)
    label = answer.label()  # type: ignore[operator]
    found: list[int] = np.where(label.valid, label.value[..., 0], -1)[:, 0].tolist()
    return found


@pytest.mark.parametrize(
    "names",
    [
        ("0000_wall.png", "0000_box.png"),
        ("0000_wall_1.png", "0000_Box_12.png"),
        ("some/0000_wall.png", "some/0000_box.PNG"),
        ("0000/wall.png", "0000/box_3.png"),
        ("0000/wall_2.png", "0000/box.png"),
        ("wall/0000.png", "box/0000.png"),
        ("wall/0000_1.png", "box/0000_2.png"),
        ("wall/masks/0000.png", "box/masks/0000.png"),
    ],
)
def test_a_name_says_the_image_and_the_class(
    tmp_path: Path, index: Index, names: tuple[str, str]
) -> None:
    put(tmp_path / "in", names[0], rows(0, 3))
    put(tmp_path / "in", names[1], rows(4, 6))
    answers = class_masks.build().receive(tmp_path / "in", index())
    assert column(answers) == [0, 0, 0, -1, 2, 2, -1, -1]
    rest = index(rest="floor")
    assert column(class_masks.build().receive(tmp_path / "in", rest)) == [0, 0, 0, 1, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("names", "is_recognised"),
    [
        (("0000/wall.png", "0001/box_3.png"), True),
        (("wall/0000.png", "out/box/0001.png"), True),
        (("0000_wall.png", "0001_box.png"), True),
        (("0000/wall.png", "0001/box.png", "0001/lamp.png"), True),
        (("0000/wall.png", "0001/lamp.png"), False),
        (("9999/wall.png",), False),
        (("0000.png", "0001.png"), False),
        ((), False),
    ],
)
def test_masks_are_recognised_if_most_of_their_names_say_an_image_and_a_class(
    tmp_path: Path, index: Index, names: tuple[str, ...], is_recognised: bool
) -> None:
    (tmp_path / "masks").mkdir()
    for name in names:
        put(tmp_path / "masks", name, rows(0, 4))
    known = index()
    found = class_masks.build().recognise_names(tmp_path / "masks", known)
    assert bool(found) == is_recognised
    assert not known.heard


def test_several_masks_of_a_class_are_one_label_and_any_number_is_in(
    tmp_path: Path, index: Index
) -> None:
    put(tmp_path / "in", "0000_ball_1.png", rows(0, 1) // 255)
    put(tmp_path / "in", "0000_ball_2.png", np.dstack([rows(3, 4), rows(4, 5), rows(9, 9)]))
    Image.fromarray(rows(6, 7)).convert("LA").save(tmp_path / "in/0000_ball_3.png")
    answers = class_masks.build().receive(tmp_path / "in", index())
    assert column(answers) == [3, -1, -1, 3, 3, -1, 3, -1]


def test_a_task_without_classes_is_named_itself(tmp_path: Path, index: Index) -> None:
    put(tmp_path / "in", "0000_saliency.png", rows(2, 8))
    answers = class_masks.build().receive(tmp_path / "in", index())
    assert column(answers, "saliency") == [0, 0, 1, 1, 1, 1, 1, 1]


def test_other_images_are_counted_and_an_unknown_class_is_refused_by_its_name(
    tmp_path: Path, index: Index
) -> None:
    put(tmp_path / "in", "0000_wall.png", rows(0, 8))
    put(tmp_path / "in", "0009_hat.png", rows(0, 8))
    answers = class_masks.build().receive(tmp_path / "in", index())
    assert column(answers) == [0] * 8 and answers.foreign == 1
    put(tmp_path / "in", "0000_hat.png", rows(0, 8))
    with pytest.raises(LabelError, match="'hat': no task has such a class"):
        class_masks.build().receive(tmp_path / "in", index())
    ignored = index(names={"hat": "ignore"})
    put(tmp_path / "in", "0000_hat.png", rows(0, 2))
    (answer,) = class_masks.build().receive(tmp_path / "in", ignored).labels
    assert answer.label().valid[:, 0].tolist() == [True] * 8  # type: ignore[operator,union-attr]


BRUSH = "task-1-annotation-{}-by-1-tag-{}-0.png"


def test_masks_of_label_studio_need_a_list_that_names_their_images(
    tmp_path: Path, index: Index
) -> None:
    folder = tmp_path / "in"
    put(folder, BRUSH.format(11, "wall"), rows(0, 3))
    put(folder, BRUSH.format(11, "box"), rows(4, 6))
    assert class_masks.build().recognise(folder)
    with pytest.raises(LabelError, match=r"2 masks are named by .*(.|\n)*image,task,path"):
        class_masks.build().receive(folder, index())
    lines = [f"0000.jpg,semseg,{BRUSH.format(11, name)}\n" for name in ("wall", "box")]
    (folder / "labels.csv").write_text("image,task,path\n" + "".join(lines))
    answers = class_masks.build().receive(folder, index())
    assert column(answers) == [0, 0, 0, -1, 2, 2, -1, -1]
    put(folder, BRUSH.format(15, "ball"), rows(4, 6))
    (folder / "labels.csv").write_text(
        "image,task,path\n" + "".join(lines) + f"0000.jpg,semseg,{BRUSH.format(15, 'ball')}\n"
    )
    answers = class_masks.build().receive(folder, index())
    assert [fault.what for fault in answers.faults] == [
        "Annotations 11 and 15 both draw '0000.jpg'."
    ]


def test_a_list_may_say_the_class_and_the_time(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "in"
    put(folder, "a.png", rows(0, 3))
    put(folder, "b.png", rows(4, 6))
    assert not class_masks.build().recognise(folder)
    (folder / "labels.csv").write_text(
        "image,task,path,class,seconds\n0000.jpg,semseg,a.png,wall,7\n0000.jpg,semseg,b.png,box,7\n"
    )
    assert class_masks.build().recognise(folder)
    answers = class_masks.build().receive(folder, index())
    assert column(answers) == [0, 0, 0, -1, 2, 2, -1, -1] and answers.labels[0].seconds == 7


def test_a_list_of_nothing_is_a_fault_for_each_line(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "in"
    put(folder, "a.png", rows(0, 3))
    (folder / "labels.csv").write_text(
        "image,task,path,class\n0000.jpg,seg,a.png,wall\n0000.jpg,semseg,b.png,box\n"
    )
    answers = class_masks.build().receive(folder, index())
    whats = [fault.what for fault in answers.faults]
    assert whats == ["The project has no task 'seg'.", "There is no PNG file 'b.png'."]


def test_masks_of_different_sizes_are_never_painted_over_each_other(
    tmp_path: Path, index: Index
) -> None:
    put(tmp_path / "in", "0000_ball.png", rows(0, 3))
    put(tmp_path / "in", "0000_wall.png", rows(0, 3)[:4, :4])
    (answer,) = class_masks.build().receive(tmp_path / "in", index()).labels
    with pytest.raises(LabelError, match=r"0000_wall\.png is 4x4, another one of its image 8x12"):
        answer.label()  # type: ignore[operator]


def test_a_link_out_of_the_folder_and_a_damaged_file_are_faults(
    tmp_path: Path, index: Index
) -> None:
    put(tmp_path, "outside.png", rows(0, 3))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0000_wall.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in/0001_wall.png").write_bytes(b"no picture")
    faults = class_masks.build().receive(tmp_path / "in", index()).faults
    assert [fault.where for fault in faults] == ["0000_wall.png", "0001_wall.png"]
    assert "is a link that leads out" in faults[0].what and "damaged" in faults[1].what


def test_a_folder_without_masks_is_refused_and_images_are_no_masks(
    tmp_path: Path, index: Index
) -> None:
    with pytest.raises(LabelError, match="no such folder"):
        class_masks.build().receive(tmp_path / "in", index())
    put(tmp_path / "in", "images/0000_wall.png", rows(0, 3))
    put(tmp_path / "in", ".hidden/0000_wall.png", rows(0, 3))
    with pytest.raises(LabelError, match="There are no masks in the folder"):
        class_masks.build().receive(tmp_path / "in", index())
    assert class_masks.build().recognise(tmp_path / "in") is None
