"""COCO's panoptic format: the colours of a PNG are ids of segments, and these have classes."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.tools.coco_panoptic import build
from labelgrid.basics.errors import LabelError
from tests.campaigns import make_project
from tests.odd_json import is_read_without_another_error
from tests.support import CLASSES, make_dataset

SIZE = (5, 7)
Index = Callable[..., ProjectIndex]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = make_dataset(tmp_path / "made", n=2, size=SIZE, tasks=("semseg",))
    project = make_project(tmp_path / "project", made)
    return partial(ProjectIndex, project.store, project.tasks())


def file_of(folder: Path, ids: NDArray[np.int64], segments: Any, **changes: Any) -> Path:
    """A file of one image, and its PNG in a folder of the file's name."""
    data = {
        "annotations": [
            {"image_id": 4, "file_name": "p.png", "segments_info": segments, **changes}
        ],
        "categories": [{"id": 5 + 3 * i, "name": name} for i, name in enumerate(CLASSES)],
        "images": [{"id": 4, "file_name": "0000.jpg", "height": SIZE[0], "width": SIZE[1]}],
    }
    (folder / "panoptic_a").mkdir(parents=True)
    (folder / "panoptic_a.json").write_text(json.dumps(data))
    blue_first = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(np.uint8)
    assert cv2.imwrite(str(folder / "panoptic_a" / "p.png"), blue_first)
    return folder


def segment(key: Any, category: Any = 5, crowd: int = 0) -> dict[str, Any]:
    return {"id": key, "category_id": category, "iscrowd": crowd, "area": 1, "bbox": [0, 0, 1, 1]}


def painted(answers: Answers) -> list[list[int]]:
    (answer,) = answers.labels
    label = answer.label()  # type: ignore[operator]
    found: list[list[int]] = np.where(label.valid, label.value[..., 0], -1).tolist()
    return found


def test_red_is_the_lowest_byte_and_void_is_not_labelled(tmp_path: Path, index: Index) -> None:
    ids = np.zeros(SIZE, np.int64)
    ids[0], ids[1], ids[2], ids[3, :3] = 7, 256 * 7, 65536 * 7, 7 + 256 + 65536 * 255
    segments = [
        segment(7),
        segment(256 * 7, 8),
        segment(65536 * 7, 5, crowd=1),
        segment(7 + 256 + 65536 * 255, 11),
    ]
    answers = build().receive(file_of(tmp_path / "in", ids, segments), index())
    assert not answers.faults
    assert painted(answers) == [[0] * 7, [1] * 7, [0] * 7, [2] * 3 + [-1] * 4, [-1] * 7]


def test_a_segment_that_is_not_listed_is_an_error(tmp_path: Path, index: Index) -> None:
    ids = np.full(SIZE, 9)
    ids[0] = 300
    folder = file_of(tmp_path / "in", ids, [segment(9)])
    with pytest.raises(LabelError, match="does not list: 300"):
        painted(build().receive(folder, index()))


def test_a_map_of_another_size_or_without_colours_is_an_error(tmp_path: Path, index: Index) -> None:
    small = file_of(tmp_path / "small", np.full((5, 6), 9), [segment(9)])
    with pytest.raises(LabelError, match="5x6, and its image 5x7"):
        painted(build().receive(small, index()))
    grey = file_of(tmp_path / "grey", np.full(SIZE, 9), [segment(9)])
    cv2.imwrite(str(grey / "panoptic_a" / "p.png"), np.full(SIZE, 9, np.uint8))
    with pytest.raises(LabelError, match="8-bit colours"):
        painted(build().receive(grey, index()))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"image_id": 3}, "image_id is in no entry"),
        ({"file_name": "q.png"}, "There is no PNG"),
        ({"file_name": "q" * 5000}, "There is no PNG"),
        ({"file_name": "../p.png"}, "leads out of the folder"),
        ({"file_name": "/p.png"}, "leads out of the folder"),
        ({"segments_info": [segment(9, 6)]}, "category_id of it is in no entry"),
        ({"segments_info": [segment(9), segment(9)]}, "comes twice"),
        ({"segments_info": [segment(0)]}, "24 bits"),
        ({"segments_info": [segment(2**24)]}, "24 bits"),
        ({"segments_info": [3]}, "no JSON object"),
        ({"segments_info": {}}, "no list"),
    ],
)
def test_a_wrong_annotation_is_a_fault(
    tmp_path: Path, index: Index, changes: dict[str, Any], match: str
) -> None:
    folder = file_of(tmp_path / "in", np.full(SIZE, 9), [segment(9)], **changes)
    (fault,) = build().receive(folder, index()).faults
    assert fault.where == "panoptic_a.json annotations[0]" and match in fault.what


def test_a_png_that_is_a_link_out_of_the_folder_is_a_fault(tmp_path: Path, index: Index) -> None:
    folder = file_of(tmp_path / "in", np.full(SIZE, 9), [segment(9)])
    png = folder / "panoptic_a" / "p.png"
    png.rename(tmp_path / "p.png")
    png.symlink_to(tmp_path / "p.png")
    (fault,) = build().receive(folder, index()).faults
    assert "link" in fault.what


def test_the_pngs_may_lie_beside_the_file_or_beside_its_folder(
    tmp_path: Path, index: Index
) -> None:
    first = file_of(tmp_path / "first", np.full(SIZE, 9), [segment(9)])
    (first / "panoptic_a" / "p.png").rename(first / "p.png")
    assert painted(build().receive(first / "panoptic_a.json", index())) == [[0] * 7] * 5
    second = file_of(tmp_path / "second", np.full(SIZE, 9), [segment(9)])
    (second / "annotations").mkdir()
    (second / "panoptic_a.json").rename(second / "annotations" / "panoptic_a.json")
    assert painted(build().receive(second, index())) == [[0] * 7] * 5


def test_no_wrong_value_is_another_error(tmp_path: Path, index: Index) -> None:
    folder = file_of(tmp_path / "in", np.full(SIZE, 9), [segment(9), segment(8, 8)])
    file = folder / "panoptic_a.json"
    assert is_read_without_another_error(build(), folder, file, index())
