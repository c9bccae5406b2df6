"""LabelMe's files: shapes cover the pixels that LabelMe's own drawing gives them."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.tools.labelme import build
from labelgrid.basics.errors import LabelError
from tests.annotators.labelme import mask_shape
from tests.campaigns import make_project
from tests.odd_json import is_read_without_another_error
from tests.support import CLASSES, make_dataset

SIZE = (40, 60)
Index = Callable[..., ProjectIndex]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = make_dataset(tmp_path / "made", n=2, size=SIZE, tasks=("semseg",), group=1)
    project = make_project(tmp_path / "project", made)
    return partial(ProjectIndex, project.store, project.tasks())


def shape(kind: str | None, points: Any, name: str = CLASSES[0], **others: Any) -> dict[str, Any]:
    return {"label": name, "points": points, "shape_type": kind, "group_id": None, **others}


def file_of(folder: Path, *shapes: Any, name: str = "0000.json", **others: Any) -> Path:
    data = {
        "version": "6.3.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": "0000.jpg",
        "imageData": "!" * 1000,
        "imageHeight": SIZE[0],
        "imageWidth": SIZE[1],
    }
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data | others))
    return path


def painted(answers: Answers) -> NDArray[np.int64]:
    (answer,) = answers.labels
    label = answer.label()  # type: ignore[operator]
    return np.where(label.valid, label.value[..., 0], -1)


def drawn_by_pillow(kind: str, points: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """What LabelMe's shape_to_mask does, on the whole image."""
    mask = Image.new("L", (SIZE[1], SIZE[0]))
    draw = ImageDraw.Draw(mask)
    (ax, ay), (bx, by) = points[:2]
    if kind == "circle":
        radius = math.sqrt((ax - bx) ** 2 + (ay - by) ** 2)
        draw.ellipse((ax - radius, ay - radius, ax + radius, ay + radius), outline=1, fill=1)
    elif kind == "rectangle":
        draw.rectangle((min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)), outline=1, fill=1)
    else:
        draw.polygon(points, outline=1, fill=1)
    return np.asarray(mask) > 0


def test_shapes_are_painted_in_their_order_as_labelme_draws_them(
    tmp_path: Path, index: Index
) -> None:
    rng = np.random.default_rng(0)
    counts = {"polygon": 7, "rectangle": 2, "circle": 2, "oriented_rectangle": 4}
    for number in range(30):
        shapes: list[dict[str, Any]] = []
        expected = np.full(SIZE, -1)
        for kind in rng.choice([*counts, "mask"], 4):
            chosen = int(rng.integers(len(CLASSES)))
            if kind == "mask":
                mask = rng.random(SIZE) < 0.3
                shapes.append(mask_shape(CLASSES[chosen], mask))
            else:
                points = rng.uniform(-5, [SIZE[1] + 5, SIZE[0] + 5], (counts[kind], 2)).tolist()
                mask = drawn_by_pillow(kind, [(x, y) for x, y in points])
                shapes.append(shape(str(kind), points, CLASSES[chosen]))
            expected[mask] = chosen
        answers = build().receive(file_of(tmp_path / "in" / "room_00", *shapes).parents[1], index())
        assert not answers.faults
        assert (painted(answers) == expected).all(), number


def test_an_outline_belongs_to_its_shape(tmp_path: Path, index: Index) -> None:
    square = shape(None, [[2, 3], [5, 3], [5, 6], [2, 6]])
    label = painted(build().receive(file_of(tmp_path / "in", square), index_of_one(index)))
    assert (label[3:7, 2:6] == 0).all() and (label == 0).sum() == 16


def index_of_one(index: Index) -> ProjectIndex:
    """The project, of which `0000.jpg` names one image."""
    return index()


@pytest.mark.parametrize("kind", ["line", "linestrip", "point", "points", "sphere"])
def test_what_has_no_area_is_refused_by_name(tmp_path: Path, index: Index, kind: str) -> None:
    path = file_of(tmp_path / "in", *[shape(kind, [[1, 2], [3, 4]])] * 3)
    (fault,) = build().receive(path, index()).faults
    assert fault.where == "0000.json shapes[0] and 2 more" and f"It is a '{kind}'," in fault.what


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (shape("polygon", [[1, 2], [3, 4]]), "polygon of 2 points"),
        (shape("rectangle", [[1, 2]] * 3), "rectangle of 3 points"),
        (shape("polygon", [[1, 2], [3, 4], [5]]), "finite numbers"),
        (shape("polygon", [[1, 2], [3, 4], [5, True]]), "finite numbers"),
        (shape("polygon", [[1, 2], [3, 4], [5, 10**400]]), "finite numbers"),
        (shape("polygon", []), "It is empty"),
        (shape("mask", [[1, 2], [3, 4]]), "mask is no text"),
        (shape("mask", [[1, 2], [3, 4], [5, 6]], mask=""), "mask of 3 points"),
        (shape("mask", [[1, 2], [3, 4]], mask="?"), "base64"),
        (shape("polygon", [[1, 2]] * 3, name=""), "label is no text"),
        (7, "no JSON object"),
    ],
)
def test_a_wrong_shape_is_a_fault(tmp_path: Path, index: Index, wrong: Any, match: str) -> None:
    path = file_of(tmp_path / "in", shape("polygon", [[1, 2], [3, 4], [5, 3]]), wrong)
    (fault,) = build().receive(path, index()).faults
    assert fault.where == "0000.json shapes[1]" and match in fault.what


def test_what_cannot_be_painted_is_an_error_of_its_shape(tmp_path: Path, index: Index) -> None:
    moved = mask_shape(CLASSES[0], np.ones((3, 4), np.bool_))
    moved["points"] = [[0, 0], [4, 2]]
    outside = mask_shape(CLASSES[0], np.ones((3, 4), np.bool_))
    outside["points"] = [[58, 0], [61, 2]]
    damaged = mask_shape(CLASSES[0], np.ones((3, 4), np.bool_))
    damaged["mask"] = damaged["mask"][:40]
    far = shape("circle", [[0, 0], [1e6, 0]])
    matches = ("and its box 3x5", "leads out of the image", "damaged", "far out of the image")
    for wrong, match in zip((moved, outside, damaged, far), matches, strict=True):
        with pytest.raises(LabelError, match=match) as error:
            painted(build().receive(file_of(tmp_path / "in", wrong), index()))
        assert error.value.what.startswith("shapes[0]: ")


def test_the_image_is_that_of_the_path_or_of_the_files_own_name(
    tmp_path: Path, index: Index
) -> None:
    square = shape("rectangle", [[2, 3], [5, 6]])
    paths = ("0001.jpg", "..\\room_01\\0001.jpg", "C:\\old\\0001.jpg", "/old/place/0001.jpg")
    for image_path in paths:
        path = file_of(tmp_path / "in" / "room_01", square, name="0001.json", imagePath=image_path)
        (answer,) = build().receive(path.parents[1], index()).labels
        assert answer.cell.image_id == "room_01/0001.jpg", image_path


def test_files_without_shapes_and_other_files_are_counted(tmp_path: Path, index: Index) -> None:
    file_of(tmp_path / "in")
    (tmp_path / "in" / "other.json").write_text("{}")
    answers = build().receive(tmp_path / "in", index())
    assert (answers.labels, answers.empty, answers.stray) == ([], 1, ["other.json"])
    (tmp_path / "in" / "broken.json").write_text("[]")
    (fault,) = build().receive(tmp_path / "in", index()).faults
    assert fault.where == "broken.json"


def test_a_folder_without_a_file_of_labelme_is_refused(tmp_path: Path, index: Index) -> None:
    with pytest.raises(LabelError, match="no file of LabelMe"):
        build().receive(tmp_path, index())


def test_no_wrong_value_is_another_error(tmp_path: Path, index: Index) -> None:
    path = file_of(
        tmp_path / "in",
        shape("circle", [[3, 4], [5, 6]]),
        mask_shape(CLASSES[0], np.ones((3, 4), np.bool_)),
    )
    assert is_read_without_another_error(build(), path.parent, path, index())
