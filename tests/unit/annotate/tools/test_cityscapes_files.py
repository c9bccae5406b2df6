"""Laws of Cityscapes' class maps: names of images and classes, and which file of several counts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.tools import cityscapes_files
from labelgrid.basics.errors import LabelError
from labelgrid.formats.cityscapes_ids import CLASSES, IGNORED, NAMES, PLATE
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import make_project
from tests.support import Made, make_dataset

COVERS = [
    "labelgrid.annotate.tools.cityscapes_files",
    "labelgrid.formats.cityscapes_ids",
]
SIZE = (2, 3)
IMAGES = ("val/ulm/ulm_000000_000019_leftImg8bit.png", "ulm_000001_000019.jpg")
CLASSES_OF_TASK = ("Car", "road", "traffic_light", "parking")


def make(folder: Path, names: tuple[str, ...] = CLASSES_OF_TASK) -> ProjectFolder:
    """A project with two images, one of them below the folders of Cityscapes."""
    made = make_dataset(folder / "made", n=2, size=SIZE, tasks=("saliency",))
    for old, new in zip(made.names, IMAGES, strict=True):
        (made.images / new).parent.mkdir(parents=True, exist_ok=True)
        Image.open(made.images / old).save(made.images / new)
    rows = (TaskRow("semseg", "semseg", 1.0, {"classes": list(names)}), *made.rows)
    return make_project(folder / "project", Made(made.root, IMAGES, rows))


def put(folder: Path, name: str, numbers: list[list[int]], dtype: type = np.uint8) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(numbers, dtype)).save(folder / name)


def received(folder: Path, project: ProjectFolder, **names: str) -> Answers:
    index = ProjectIndex(project.store, project.tasks(), ImportOptions(names=names))
    return cityscapes_files.build().receive(folder, index)


def read(answers: Answers) -> dict[str, list[list[int]]]:
    """The labels by image; -1 where not labelled."""
    assert not answers.faults
    found = {}
    for answer in answers.labels:
        assert answer.cell.task == "semseg"
        label = answer.label()  # type: ignore[operator]
        found[answer.cell.image_id] = np.where(label.valid, label.value[..., 0], -1).tolist()
    return found


ROWS = [[26, 7, 19], [9, 4, 0]]
LABEL = [[0, 1, 2], [3, -1, -1]]
TRAIN = [[13, 0, 6], [255, 255, 255]]
TRAIN_LABEL = [[0, 1, 2], [-1, -1, -1]]


@pytest.mark.parametrize("folder", ["", "gtFine/val/ulm/", "val/ulm/"])
def test_images_are_found_with_and_without_their_end_and_folders(
    tmp_path: Path, folder: str
) -> None:
    put(tmp_path / "in", f"{folder}ulm_000000_000019_gtFine_labelIds.png", ROWS)
    put(tmp_path / "in", f"{folder}ulm_000001_000019_labelTrainIds.png", TRAIN)
    put(tmp_path / "in", f"{folder}ulm_000009_000019_gtFine_labelIds.png", ROWS)
    answers = received(tmp_path / "in", make(tmp_path))
    assert read(answers) == {IMAGES[0]: LABEL, IMAGES[1]: TRAIN_LABEL} and answers.foreign == 1


def test_of_several_files_of_an_image_the_fine_label_ids_count(tmp_path: Path) -> None:
    wrong = [[11] * 3] * 2
    start = "ulm_000000_000019"
    put(tmp_path / "in", f"{start}_gtFine_labelIds.png", ROWS)
    for end in ("gtCoarse_labelIds", "gtFine_labelTrainIds", "labelTrainIds", "gtFine_color"):
        put(tmp_path / "in", f"{start}_{end}.png", wrong)
    put(tmp_path / "in", f"{start}_gtFine_instanceIds.png", wrong, np.uint16)
    assert read(received(tmp_path / "in", make(tmp_path))) == {IMAGES[0]: LABEL}


@pytest.mark.parametrize(("dtype", "minus_one"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_plate_is_minus_one_in_8_and_16_bits(tmp_path: Path, dtype: type, minus_one: int) -> None:
    name = "ulm_000000_000019"
    put(tmp_path / "in", f"{name}_gtFine_labelIds.png", [[26, 7, minus_one]] * 2, dtype)
    project = make(tmp_path)
    assert read(received(tmp_path / "in", project)) == {IMAGES[0]: [[0, 1, -1]] * 2}
    mapped = received(tmp_path / "in", project, **{PLATE: "Car"})
    assert read(mapped) == {IMAGES[0]: [[0, 1, 0]] * 2}
    put(tmp_path / "train", f"{name}_labelTrainIds.png", [[13, 0, 255]] * 2, dtype)
    assert read(received(tmp_path / "train", project)) == {IMAGES[0]: [[0, 1, -1]] * 2}


def test_a_class_that_is_evaluated_and_no_task_has_is_refused_unless_it_is_mapped(
    tmp_path: Path,
) -> None:
    put(tmp_path / "in", "ulm_000000_000019_gtFine_labelIds.png", [[26, 7, 33]] * 2)
    project = make(tmp_path)
    with pytest.raises(LabelError, match="'bicycle': no task has such a class"):
        received(tmp_path / "in", project)
    ignored = received(tmp_path / "in", project, bicycle="ignore")
    assert read(ignored) == {IMAGES[0]: [[0, 1, -1]] * 2}
    mapped = received(tmp_path / "in", project, bicycle="Car")
    assert read(mapped) == {IMAGES[0]: [[0, 1, 0]] * 2}


def test_a_map_without_a_class_as_in_the_test_split_is_counted_as_empty(tmp_path: Path) -> None:
    put(tmp_path / "in", "ulm_000000_000019_gtFine_labelIds.png", [[1, 2, 3]] * 2)
    put(tmp_path / "in", "ulm_000001_000019_gtFine_labelIds.png", ROWS)
    answers = received(tmp_path / "in", make(tmp_path))
    assert list(read(answers)) == [IMAGES[1]] and answers.empty == 1


def test_numbers_that_cityscapes_does_not_define_are_faults(tmp_path: Path) -> None:
    put(tmp_path / "in", "ulm_000000_000019_gtFine_labelIds.png", [[26, 34, 99]] * 2)
    put(tmp_path / "in", "ulm_000001_000019_labelTrainIds.png", [[0, 19, 1]] * 2)
    faults = received(tmp_path / "in", make(tmp_path)).faults
    assert [fault.what for fault in faults] == [
        "Cityscapes does not define the numbers 34, 99.",
        "Cityscapes does not define the numbers 19.",
    ]


def test_a_folder_without_such_files_is_refused_and_not_recognised(tmp_path: Path) -> None:
    project = make(tmp_path)
    put(tmp_path / "in", "ulm_000000_000019.png", ROWS)
    with pytest.raises(LabelError, match="There are no files IMAGE_gtFine_labelIds"):
        received(tmp_path / "in", project)
    assert cityscapes_files.build().recognise(tmp_path / "in") is None
    put(tmp_path / "in", "deep/er/ulm_000000_000019_gtFine_labelIds.png", ROWS)
    assert cityscapes_files.build().recognise(tmp_path / "in")


def test_the_table_is_the_published_one() -> None:
    """By the names and numbers that are at the ends and beside what is left out."""
    assert len(NAMES) == 34 and len(CLASSES) == 19 and len(IGNORED) == 16
    assert [NAMES[number] for number in (0, 6, 7, 10, 18, 19, 33)] == [
        "unlabeled",
        "ground",
        "road",
        "rail track",
        "polegroup",
        "traffic light",
        "bicycle",
    ]
    assert list(CLASSES)[13:16] == ["car", "truck", "bus"] and CLASSES["train"] == 31
