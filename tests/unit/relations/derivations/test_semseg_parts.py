"""Laws of parts from classes."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.rooms import CLASSES
from labelgrid.lab.scenes.write_scenes import TASKS
from labelgrid.relations.derivations.semseg_parts import Options, build
from labelgrid.tasks.task import definitions
from tests.rooms import room_labels

ROOM_TASKS = definitions(TASKS)
#: For the laws of relations: options that are to be found on labels.
PLANTED = ({"classes": ["wall", "floor"], "background": "background"},)
PERSON = CLASSES.index("person")


def derived(label: LabelArray, options: Options | None = None) -> LabelArray:
    relation = build(options or Options(background="none"))
    return relation.between([ROOM_TASKS["semseg"]], ROOM_TASKS["parts"])([label], None)


def test_in_rooms_without_people_the_whole_label_follows_and_else_what_is_no_person() -> None:
    whole = 0
    for index in range(12):
        labels = room_labels(index)
        found = derived(labels["semseg"])
        true = labels["parts"]
        person = labels["semseg"].value[..., 0] == PERSON
        assert np.array_equal(found.valid, labels["semseg"].valid & ~person)
        assert np.array_equal(found.value[found.valid], true.value[found.valid])
        whole += not person.any()
    assert 0 < whole < 12


def test_a_label_without_people_among_its_classes_says_nothing_and_without_others_all() -> None:
    label = room_labels(0)["semseg"]
    annotated = np.ones(len(CLASSES), np.bool_)
    annotated[PERSON] = False
    assert not derived(replace(label, annotated=annotated)).valid.any()
    annotated = np.ones(len(CLASSES), np.bool_)
    annotated[CLASSES.index("lamp")] = False
    assert np.array_equal(derived(replace(label, annotated=annotated)).valid, derived(label).valid)


def test_several_classes_may_have_parts() -> None:
    label = room_labels(0)["semseg"]
    found = derived(label, Options(("person", "wall"), "none"))
    assert not found.valid[label.value[..., 0] == CLASSES.index("wall")].any()
    assert found.valid[label.value[..., 0] == CLASSES.index("floor")].all()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (Options(), "`background` names 'background', which is no class of 'parts'"),
        (Options(("man",), "none"), "`classes` names 'man', which is no class of 'semseg'"),
    ],
)
def test_classes_that_there_are_not_are_refused(options: Options, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        derived(room_labels(0)["semseg"], options)


def test_no_class_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one class"):
        Options(())
