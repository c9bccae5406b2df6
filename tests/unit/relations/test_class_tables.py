"""Classes by their names, and labels of what a table says of their classes."""

import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.class_tables import NOTHING, class_index, look_up_classes
from labelgrid.tasks.task import TaskDef

CLASSES = ["wall", "rider", "person", "floor"]
TASK = TaskDef.of(TaskRow("street", "semseg", 1.0, {"classes": CLASSES}))


def test_a_class_has_the_number_that_its_labels_hold() -> None:
    merged = TaskDef.of(
        TaskRow("street", "semseg", 1.0, {"classes": CLASSES, "merge": {"rider": "person"}})
    )
    assert class_index(TASK, "person", "person") == 2
    assert class_index(merged, "person", "person") == 1


def test_an_unknown_class_is_refused_with_the_one_that_may_be_meant_and_all_there_are() -> None:
    with pytest.raises(RecipeError) as error:
        class_index(TASK, "persons", "owners")
    assert str(error.value) == (
        "`owners` names 'persons', which is no class of 'street' (did you mean 'person'?).\n"
        "  Its classes are: wall, rider, person, floor."
    )
    with pytest.raises(RecipeError, match=r"no class of 'street'\.\n"):
        class_index(TASK, "xyz", "owners")


def row(*classes: int, annotated: list[bool] | None = None) -> LabelArray:
    """One row of pixels; those of class 9 are not valid."""
    value = np.array([classes])[..., None]
    known = None if annotated is None else np.array(annotated)
    return LabelArray(value, value[..., 0] != 9, known)


def test_a_pixel_is_valid_where_it_is_labelled_and_the_table_says_something() -> None:
    found = look_up_classes(row(0, 1, 2, 9), np.array([4, NOTHING, 5, 6]))
    assert found.value[..., 0].tolist() == [[4, 0, 5, 0]]
    assert found.valid.tolist() == [[True, False, True, False]]
    assert found.value.dtype == np.int64 and found.annotated is None


@pytest.mark.parametrize(
    ("missing", "valid"),
    [
        ([], [True, True, True, False]),
        ([2], [False, False, True, False]),
        ([0], [True, True, False, False]),
        ([0, 2], [False, False, False, False]),
        ([3], [False, False, False, False]),
    ],
)
def test_where_a_class_was_not_annotated_pixels_may_be_of_it(
    missing: list[int], valid: list[bool]
) -> None:
    annotated = [number not in missing for number in range(4)]
    found = look_up_classes(row(0, 1, 2, 3, annotated=annotated), np.array([4, 4, 5, NOTHING]))
    assert found.valid.tolist() == [valid]
