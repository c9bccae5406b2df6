"""Laws of classes from parts."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.people import PARTS
from labelgrid.lab.scenes.rooms import CLASSES
from labelgrid.lab.scenes.write_scenes import TASKS
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.derivations.parts_semseg import Options, build
from labelgrid.tasks.task import definitions
from tests.rooms import room_labels

ROOM_TASKS = definitions(TASKS)
#: For the laws of relations: options that are to be found on labels.
PLANTED = ({"person": "", "background": "", "owners": {"wall": "person", "floor": "wall"}},)
WITH_ANIMALS = definitions(
    [
        TaskRow("parts", "semseg", 1.0, {"classes": ["background", "head", "torso", "tail"]}),
        TaskRow("objects", "semseg", 1.0, {"classes": ["background", "cat", "person"]}),
    ]
)


def derived(label: LabelArray, **options: object) -> LabelArray:
    """The classes that follow from parts of people and cats."""
    relation = build(Options(**options))  # type: ignore[arg-type]
    derive = relation.between([WITH_ANIMALS["parts"]], WITH_ANIMALS["objects"])
    return derive([label], None)


def row(*parts: int) -> LabelArray:
    return LabelArray(np.array([parts])[..., None], np.ones((1, len(parts)), np.bool_))


def test_in_rooms_what_has_a_part_is_a_person_and_nothing_else_is_known() -> None:
    derive = build(Options(background="none")).between([ROOM_TASKS["parts"]], ROOM_TASKS["semseg"])
    people = 0
    for index in range(12):
        labels = room_labels(index)
        found = derive([labels["parts"]], None)
        person = labels["semseg"].value[..., 0] == CLASSES.index("person")
        assert np.array_equal(found.valid, person & labels["parts"].valid)
        assert (found.value[found.valid] == CLASSES.index("person")).all()
        people += found.valid.any()
    assert 0 < people < 12 and PARTS[0] == "none"


def test_parts_of_others_belong_to_their_owners() -> None:
    found = derived(row(0, 1, 2, 3), owners={"tail": "cat"})
    assert found.valid.tolist() == [[False, True, True, True]]
    assert found.value[0, 1:, 0].tolist() == [2, 2, 1]


def test_a_part_that_was_not_annotated_takes_nothing_from_parts_of_the_same_owner() -> None:
    label = replace(row(0, 1, 2, 3), annotated=np.array([True, True, False, True]))
    valid = derived(label, owners={"tail": "cat"}).valid
    assert valid.tolist() == [[False, True, True, False]]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"person": "persn"}, "`person` names 'persn', which is no class of 'objects'"),
        ({"background": "none"}, "`background` names 'none', which is no class of 'parts'"),
        ({"owners": {"tails": "cat"}}, r"`owners` names 'tails', .*'parts' \(did you mean 'tail'"),
        ({"owners": {"tail": "cats"}}, r"`owners` names 'cats', .*'objects' \(did you mean 'cat'"),
    ],
)
def test_classes_that_there_are_not_are_refused(options: dict[str, object], fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        derived(row(0), **options)
