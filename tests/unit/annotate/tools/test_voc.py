"""Coloured masks of Pascal VOC and CVAT, but for the laws of all connectors."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.tools import voc
from labelgrid.annotate.voc_colours import standard_names
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, TaskRow
from tests.campaigns import make_project
from tests.support import Made, make_dataset

Index = partial[ProjectIndex]
BORDER = (224, 224, 192)


def index_of(folder: Path, *classes: str) -> Index:
    made = make_dataset(folder / "made", n=2, size=(8, 12), tasks=("semseg",))
    row = TaskRow("semseg", "semseg", 1.0, {"classes": list(classes)})
    project = make_project(folder / "project", Made(made.root, made.names, (row,)))
    return partial(ProjectIndex, project.store, project.tasks())


def pictures(root: Path, **rows: list[tuple[int, int, int]]) -> Path:
    """Masks of 8 rows; each is of one row of colours, twelve or one for all columns."""
    (root / "SegmentationClass").mkdir(parents=True, exist_ok=True)
    for name, colours in rows.items():
        row = np.array(colours, np.uint8)
        pixels = np.broadcast_to(np.resize(row, (12, 3)), (8, 12, 3))
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            root / "SegmentationClass" / f"{name[1:]}.png"
        )
    return root


def receive(answer: Path, index: ProjectIndex) -> Answers:
    return voc.build().receive(answer, index)


def label(answers: Answers, number: int = 0) -> LabelArray:
    return answers.labels[number].label()  # type: ignore[operator, return-value]


def test_without_a_map_colours_are_vocs_and_black_and_the_border_are_not_labelled(
    tmp_path: Path,
) -> None:
    index = index_of(tmp_path, "cat", "person")
    root = pictures(tmp_path / "a", _0000=[(0, 0, 0), (64, 0, 0), (192, 128, 128), BORDER])
    found = label(receive(root, index()))
    assert found.value[0, :4, 0].tolist() == [0, 0, 1, 0]
    assert found.valid[0, :4].tolist() == [False, True, True, False]


def test_the_rest_fills_black_and_leaves_the_border_unlabelled(tmp_path: Path) -> None:
    index = index_of(tmp_path, "cat", "stuff")
    root = pictures(tmp_path / "a", _0000=[(0, 0, 0), (64, 0, 0), BORDER])
    found = label(receive(root, index(ImportOptions(rest="stuff"))))
    assert found.valid[0, :3].tolist() == [True, True, False]
    assert found.value[0, :2, 0].tolist() == [1, 0]


@pytest.mark.parametrize("options", [{}, {"names": {"background": "cat"}}])
def test_black_is_a_class_if_the_task_or_the_map_of_names_has_the_background(
    tmp_path: Path, options: dict[str, object]
) -> None:
    classes = ("cat", "dog") if options else ("background", "cat", "dog")
    index = index_of(tmp_path, *classes)
    root = pictures(tmp_path / "a", _0000=[(0, 0, 0), (64, 0, 128)])
    found = label(receive(root, index(ImportOptions(**options))))  # type: ignore[arg-type]
    assert found.valid.all()
    assert found.value[0, :2, 0].tolist() == [0, len(classes) - 1]


def test_palette_pictures_have_the_colours_of_their_palette(tmp_path: Path) -> None:
    index = index_of(tmp_path, "cat", "person")
    root = pictures(tmp_path / "a")
    picture = Image.fromarray(np.full((8, 12), 1, np.uint8))
    picture.putpalette([9, 9, 9, 192, 128, 128])
    picture.save(root / "SegmentationClass/0001.png")
    answers = receive(root, index())
    assert answers.labels[0].cell == Cell("0001.jpg", "semseg")
    assert (label(answers).value == 1).all()


def test_the_map_of_the_folder_names_colours_and_another_black_is_a_class(tmp_path: Path) -> None:
    index = index_of(tmp_path, "cat", "person")
    root = pictures(tmp_path / "a", _0000=[(0, 0, 0), (1, 2, 3)])
    (root / "labelmap.txt").write_text("person:0,0,0::\ncat:1,2,3::\nunused:7,7,7::\n")
    assert label(receive(root, index())).value[0, :2, 0].tolist() == [1, 0]
    (root / "labelmap.txt").write_text("road:0,0,0::\ncat:1,2,3::\n")
    with pytest.raises(LabelError, match="'road': no task"):
        receive(root, index())


def test_colours_without_a_label_are_refused_with_the_number_of_their_pixels(
    tmp_path: Path,
) -> None:
    index = index_of(tmp_path, "cat", "person")
    root = pictures(tmp_path / "a", _0000=[(64, 0, 0), (1, 2, 3), (1, 2, 3), (9, 0, 0)])
    (fault,) = receive(root, index()).faults
    assert fault.where == "SegmentationClass/0000.png"
    assert "(1, 2, 3) in 48 pixels; (9, 0, 0) in 24 pixels" in fault.what
    assert "labelmap.txt" in fault.next_step
    pictures(root, _0000=[(0, 0, 0), (1, 1, 1), (2, 2, 2)])
    (fault,) = receive(root, index()).faults
    assert "numbers of classes" in fault.next_step


def test_images_that_nobody_drew_in_stay_unlabelled(tmp_path: Path) -> None:
    index = index_of(tmp_path, "background", "cat", "dog")
    root = pictures(tmp_path / "a", _0000=[(0, 0, 0)], _other=[(64, 0, 0)])
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("# a remark\n0000\n0001\n")
    (lists / "val.txt").write_text("other\n0001\n")
    with pytest.raises(LabelError, match="no mask of an image of the project"):
        receive(root, index())
    pictures(root, _0000=[(64, 0, 0)])
    answers = receive(root, index())
    assert (len(answers.labels), answers.empty, answers.foreign) == (1, 1, 1)


def test_the_masks_may_lie_two_folders_below_and_in_folders(tmp_path: Path) -> None:
    index = index_of(tmp_path, "cat", "person")
    root = pictures(tmp_path / "a/VOCdevkit/VOC2012")
    masks = root / "SegmentationClass/train"
    masks.mkdir()
    pixels = np.broadcast_to(np.array([64, 0, 0], np.uint8), (8, 12, 3))
    Image.fromarray(np.ascontiguousarray(pixels)).save(masks / "0000.png")
    (answer,) = receive(tmp_path / "a", index()).labels
    assert answer.where == "VOCdevkit/VOC2012/SegmentationClass/train/0000.png"
    assert answer.cell == Cell("0000.jpg", "semseg")
    assert voc.build().recognise(tmp_path / "a")


def test_boxes_alone_are_recognised_and_refused(tmp_path: Path) -> None:
    index = index_of(tmp_path, "cat", "person")
    folder = tmp_path / "VOC2007" / "Annotations"
    folder.mkdir(parents=True)
    (folder / "0000.xml").write_text("<annotation><object/></annotation>")
    found = voc.build().recognise(tmp_path / "VOC2007")
    assert found and "boxes" in found.what
    with pytest.raises(LabelError, match="holds boxes of Pascal VOC"):
        receive(tmp_path / "VOC2007", index())
    with pytest.raises(LabelError, match="no folder SegmentationClass"):
        receive(tmp_path / "project", index())


def test_damaged_pictures_lists_and_links_that_lead_out_are_faults(tmp_path: Path) -> None:
    index = index_of(tmp_path, "cat", "person")
    root = pictures(tmp_path / "a", _0000=[(64, 0, 0)])
    whole = (root / "SegmentationClass/0000.png").read_bytes()
    (tmp_path / "out.png").write_bytes(whole)
    (root / "SegmentationClass/0001.png").write_bytes(whole[:-20])
    (root / "SegmentationClass/link.png").symlink_to(tmp_path / "out.png")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/a.txt").write_bytes(b"\xff\xff")
    (root / "ImageSets/Segmentation/b.txt").symlink_to(tmp_path / "out.png")
    answers = receive(root, index())
    assert len(answers.labels) == 1
    assert sorted(fault.where for fault in answers.faults) == [
        "ImageSets/Segmentation/a.txt",
        "ImageSets/Segmentation/b.txt",
        "SegmentationClass/0001.png",
        "SegmentationClass/link.png",
    ]
    (root / "labelmap.txt").symlink_to(tmp_path / "out.png")
    with pytest.raises(LabelError, match="leads out of the folder"):
        receive(root, index())


def test_standard_names_are_those_of_the_masks_of_voc_2012() -> None:
    assert standard_names()[0xC08080] == "person"
