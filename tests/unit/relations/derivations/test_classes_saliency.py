"""Laws of saliency from classes."""

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.lab.scenes.write_scenes import TASKS
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.derivations.classes_saliency import Options, build
from labelgrid.tasks.task import definitions
from tests.rooms import room_labels

ROOM_TASKS = definitions(TASKS)
SALIENCY = ROOM_TASKS["saliency"]
SEMSEG = ROOM_TASKS["semseg"]
#: For the laws of relations: options that are to be found on labels.
PLANTED = ({"others": ["background"]}, {"classes": ["person", "floor"]})


def test_pixels_of_the_classes_are_salient_and_all_others_are_not() -> None:
    labels = room_labels(3)
    derive = build(Options(("wall", "floor"))).between([SEMSEG], SALIENCY)
    found = derive([labels["semseg"]], None)
    named = np.isin(labels["semseg"].value[..., 0], [0, 1])
    assert found.value.dtype == np.float32
    assert np.array_equal(found.valid, labels["semseg"].valid)
    assert np.array_equal(found.value[..., 0] > 0.5, named & found.valid)
    assert 0 < found.value.mean() < 1


def test_in_rooms_people_are_mostly_what_is_salient() -> None:
    derive = build(Options()).between([SEMSEG], SALIENCY)
    both = 0
    either = 0
    for index in range(24):
        labels = room_labels(index)
        label = derive([labels["semseg"]], None)
        found = label.value[label.valid] > 0.5
        salient = labels["saliency"].value[label.valid] > 0.5
        both += np.count_nonzero(found & salient)
        either += np.count_nonzero(found | salient)
    assert both / either > 0.6


def test_without_a_pixel_of_the_classes_nothing_is_sure() -> None:
    derive = build(Options()).between([SEMSEG], SALIENCY)
    shares = []
    for index in range(24):
        semseg = room_labels(index)["semseg"]
        person = (semseg.value == SEMSEG.class_names.index("person")).any()
        found = derive([semseg], None).valid
        assert np.array_equal(found, semseg.valid & person)
        shares.append(found.mean())
    assert min(shares) == 0 < max(shares)


def test_predicted_probabilities_of_the_classes_are_added() -> None:
    on_predictions = build(Options(("wall", "floor"))).on_predictions
    assert on_predictions is not None
    derive = on_predictions([SEMSEG], SALIENCY)
    probabilities = torch.zeros(2, len(SEMSEG.class_names), 1, 3)
    wall, floor = map(SEMSEG.class_names.index, ("wall", "floor"))
    probabilities[:, wall] = torch.tensor([0.3, 0.1, 0.0])
    probabilities[0, floor] = torch.tensor([0.3, 0.1, 0.2])
    found = derive([probabilities], None)
    torch.testing.assert_close(found.value[0, 0, 0], torch.tensor([0.6, 0.2, 0.2]))
    assert found.valid[0].all()
    assert not found.valid[1].any()  # below 0.5 everywhere: none of the classes is there


def test_a_class_that_there_is_not_and_an_empty_set_are_refused() -> None:
    rooms = definitions([TaskRow("rooms", "semseg", 1.0, {"classes": ["wall", "persons"]})])
    with pytest.raises(RecipeError, match=r"`classes` names 'person'.*mean 'persons'"):
        build(Options()).between([rooms["rooms"]], SALIENCY)
    with pytest.raises(ValueError, match="at least one class"):
        Options(())
