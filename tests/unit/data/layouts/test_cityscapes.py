"""Cityscapes as published, on a made copy of the layout.

The expected values are written out here.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import EmptyLabelError, ImageError, LabelError, RecipeError
from labelgrid.data.layouts import cityscapes
from labelgrid.project.task_spec import task_rows_of
from labelgrid.tasks.task import TaskDef, definitions

TASKS = definitions(task_rows_of(cityscapes.TASKS, Path()))
NAME = "train/aachen/aachen_000000_000019_leftImg8bit.png"


def save(root: Path, name: str, array: np.ndarray) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)
    return path


def make(root: Path, numbers: np.ndarray | None = None) -> cityscapes.Cityscapes:
    save(root, f"leftImg8bit/{NAME}", np.zeros((2, 3, 3), np.uint8))
    save(
        root, "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png", np.zeros((2, 3, 3), np.uint8)
    )
    if numbers is None:
        numbers = np.array([[7, 33, 0], [255, 26, 18]], np.uint8)
    save(root, "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png", numbers)
    steps = np.array([[0, 1, 257], [129, 65535, 2]], np.uint16)
    save(root, "disparity/train/aachen/aachen_000000_000019_disparity.png", steps)
    return cityscapes.build(root)


def task(**options: object) -> TaskDef:
    return definitions(task_rows_of({"semseg": {**cityscapes.TASKS["semseg"], **options}}, Path()))[
        "semseg"
    ]


def test_images_and_splits_are_by_folder(tmp_path: Path) -> None:
    save(
        tmp_path,
        "leftImg8bit/val/aachen_000001_000019_leftImg8bit.png",
        np.zeros((2, 3, 3), np.uint8),
    )  # no CITY
    source = make(tmp_path)
    other = "val/ulm/ulm_000000_000019_leftImg8bit.png"
    assert source.images() == (NAME, other) and source.splits() == {"train": [NAME], "val": [other]}
    lost = "train/bonn/bonn_000002_000019"
    save(tmp_path, f"disparity/{lost}_disparity.png", np.zeros((2, 3), np.uint16))
    assert cityscapes.check(tmp_path) == [
        "1 image is not at SPLIT/CITY/ID_leftImg8bit.png, the first is val/aachen_000001_000019_leftImg8bit.png.",
        f"1 of 2 images have no gtFine, the first is {other}.",
        f"1 of 2 images have no disparity, the first is {other}.",
        f"1 label of disparity has no image, the first is {lost}_leftImg8bit.png.",
    ]


def test_classes_are_the_nineteen(tmp_path: Path) -> None:
    source = make(tmp_path)
    label = source.label(NAME, TASKS["semseg"])
    assert label is not None and label.valid.tolist() == [[True, True, False], [False, True, False]]
    assert label.value[label.valid][:, 0].tolist() == [0, 18, 13] and label.value.dtype == np.int64
    merged = source.label(NAME, task(merge={"bicycle": "car"}))
    assert merged is not None and merged.value[label.valid][:, 0].tolist() == [0, 13, 13]


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([0, 2, 8, 255], 1),
        ([0, 10, 11, 255], 1),
        ([7, 13, 18, 255], 0),
        ([0, 0, 0, 26], 0),
        ([0, 3, 3, 0], 0),
    ],
)
def test_class_maps_of_train_ids_are_a_fault_of_the_layout(
    tmp_path: Path, numbers: list[int], found: int
) -> None:
    make(tmp_path, np.array([numbers], np.uint8))
    faults = [fault for fault in cityscapes.check(tmp_path) if "trainIds" in fault]
    assert len(faults) == found
    if found:
        assert faults[0].endswith(
            "they seem to hold trainIds. Get gtFine_trainvaltest.zip, with labelIds."
        )


def test_a_damaged_class_map_does_not_hide_the_others(tmp_path: Path) -> None:
    make(tmp_path, np.array([[0, 2, 7]], np.uint8))
    (tmp_path / "gtFine/val/ulm").mkdir(parents=True)
    save(
        tmp_path,
        "leftImg8bit/val/ulm/ulm_000001_000019_leftImg8bit.png",
        np.zeros((2, 3, 3), np.uint8),
    )
    save(
        tmp_path,
        "gtFine/val/ulm/ulm_000001_000019_gtFine_labelIds.png",
        np.full((2, 3), 400, np.uint16),
    )
    (tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png").write_bytes(b"no picture")
    assert any("trainIds" in fault for fault in cityscapes.check(tmp_path))


def test_disparity_is_in_pixels(tmp_path: Path) -> None:
    label = make(tmp_path).label(NAME, TASKS["depth"])
    assert label is not None and label.valid.tolist() == [[False, False, True], [True, True, True]]
    np.testing.assert_allclose(label.value[label.valid][:, 0], [1, 0.5, 65534 / 256, 1 / 256])


def test_wrong_files_and_tasks_are_refused_by_name(tmp_path: Path) -> None:
    source = make(tmp_path, np.full((2, 3), 4, np.uint8))
    with pytest.raises(EmptyLabelError, match="none has a number of the 19 classes"):
        source.label(NAME, TASKS["semseg"])
    with pytest.raises(
        LabelError, match=r"(?s)2x3 uint8, with 34 .*gtFine_labelIds.*Get the file again"
    ):
        make(tmp_path, np.full((2, 3), 34, np.uint8)).label(NAME, TASKS["semseg"])
    few = definitions(task_rows_of({"semseg": {"classes": ["a", "b"]}, "depth": {}}, Path()))
    with pytest.raises(RecipeError, match="Cityscapes has 19 classes; the task 'semseg' has 2"):
        source.label(NAME, few["semseg"])
    turned = task(classes=list(cityscapes.CLASSES)[::-1])
    with pytest.raises(RecipeError, match="in another order"):
        source.label(NAME, turned)
    with pytest.raises(RecipeError, match="Declare `disparity = true`"):
        source.label(NAME, few["depth"])
    path = save(
        tmp_path,
        "disparity/train/aachen/aachen_000000_000019_disparity.png",
        np.ones((2, 3), np.uint8),
    )
    with pytest.raises(LabelError, match=r"16-bit PNG; this one is 2x3 uint8"):
        source.label(NAME, TASKS["depth"])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(LabelError, match=r"(?s)cut short.*disparity\.png"):
        source.label(NAME, TASKS["depth"])
    with pytest.raises(ImageError):
        cityscapes.build(tmp_path / "gtFine")
