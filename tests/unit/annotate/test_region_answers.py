"""The regions of a tool become labels of the project's cells."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.region_answers import DrawnImage, Shape, region_answers
from labelgrid.basics.errors import LabelError
from labelgrid.ledger.grid import Cell
from tests.campaigns import make_project
from tests.support import make_dataset


def box(name: str, top: int, left: int) -> Shape:
    mask = np.ones((2, 3), np.bool_)
    return Shape(name, lambda canvas, number: canvas.paint(mask, number, top=top, left=left))


def drawn(image: str, *shapes: Shape, cell: Cell | None = None) -> DrawnImage:
    return DrawnImage(image=image, where="a.json", size=(8, 12), shapes=shapes, cell=cell)


@pytest.fixture
def index(tmp_path: Path) -> partial[ProjectIndex]:
    made = make_dataset(tmp_path / "made", n=3, size=(8, 12), tasks=("semseg", "saliency"))
    project = make_project(tmp_path / "project", made)
    return partial(ProjectIndex, project.store, project.tasks())


def test_shapes_are_painted_in_their_order_and_the_rest_is_not_labelled(
    index: partial[ProjectIndex],
) -> None:
    plain = index()
    image, classes = plain.images()[0], plain.tasks["semseg"].region_names
    shapes = [box(classes[0], 0, 0), box(classes[1], 1, 1)]
    answers = region_answers([drawn(image, *shapes)], plain)
    (answer,) = answers.labels
    assert answer.cell == Cell(image, "semseg")
    label = answer.label()  # type: ignore[operator]
    assert label.value[0, :3, 0].tolist() == [0, 0, 0]
    assert label.value[1:3, 1:4, 0].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert label.valid.sum() == 6 + 6 - 2
    rest = index(ImportOptions(rest=classes[1]))
    label = region_answers([drawn(image, *shapes)], rest).labels[0].label()  # type: ignore[operator]
    assert label.valid.all() and (label.value == 1).sum() == 96 - 4


def test_images_that_are_foreign_empty_or_ambiguous_are_counted_or_refused(
    index: partial[ProjectIndex],
) -> None:
    plain = index()
    images = plain.images()
    answers = region_answers([drawn("other.jpg", box("saliency", 0, 0)), drawn(images[0])], plain)
    assert (answers.labels, answers.foreign, answers.empty) == ([], 1, 1)


def test_a_request_is_answered_also_by_nothing_where_nothing_is_a_label(
    index: partial[ProjectIndex],
) -> None:
    plain = index()
    image = plain.images()[0]
    saliency = region_answers([drawn("?", cell=Cell(image, "saliency"))], plain).labels[0]
    assert (saliency.label().value == 0).all()  # type: ignore[operator]
    semseg = region_answers([drawn("?", cell=Cell(image, "semseg"))], plain).labels[0]
    with pytest.raises(LabelError, match="--rest"):
        semseg.label()  # type: ignore[operator]


def test_an_image_beyond_the_limit_is_refused_before_it_is_painted(
    index: partial[ProjectIndex],
) -> None:
    plain = index()
    huge = DrawnImage(
        image=plain.images()[0],
        where="a.json",
        size=(10**6, 10**6),
        shapes=[Shape("saliency", lambda canvas, number: None)],
    )
    with pytest.raises(LabelError, match="too large"):
        region_answers([huge], plain).labels[0].label()  # type: ignore[operator]


@pytest.mark.parametrize("rest", ["", "wall"])
def test_classes_that_were_drawn_outside_the_image_are_no_rest(
    index: partial[ProjectIndex], rest: str
) -> None:
    outside = index(ImportOptions(rest=rest))
    image = outside.images()[0]
    classes = outside.tasks["semseg"].region_names
    shape = Shape(classes[1], lambda canvas, number: None)
    (answer,) = region_answers([drawn(image, shape)], outside).labels
    with pytest.raises(LabelError, match="1 region covers no pixel") as error:
        answer.label()  # type: ignore[operator]
    assert "--rest" not in str(error.value) and "--leave-out" in str(error.value)
    (answer,) = region_answers([drawn(image, shape, box(classes[0], 0, 0))], outside).labels
    assert answer.label().valid.any()  # type: ignore[operator, union-attr]
