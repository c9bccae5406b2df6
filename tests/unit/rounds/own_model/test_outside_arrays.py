"""Laws of the arrays of predictions by a network outside the program."""

import numpy as np
import pytest

from labelgrid.ledger.grid import TaskRow
from labelgrid.rounds.own_model.outside_arrays import array_faults, expected_arrays, shapes_of
from labelgrid.tasks.task import build_all, definitions
from tests.outside import made_up
from tests.support import CLASSES

FAULTS = {
    "one class too few": (
        {"semseg.probabilities": np.full((3, 3, 8, 12), 1 / 3)},
        "must be [4, h, w], or [passes, 4, h, w]; it is 3x3x8x12",
    ),
    "classes last": (
        {"semseg.probabilities": np.full((8, 12, 4), 1 / 4)},
        "it is 8x12x4",
    ),
    "logits as probabilities": (
        {"semseg.probabilities": np.linspace(-3, 3, 3 * 4 * 96).reshape(3, 4, 8, 12)},
        "not from 0 to 1. If these are logits, name them 'semseg.logits'",
    ),
    "sums that are not 1": (
        {"semseg.probabilities": np.full((3, 4, 8, 12), 0.5)},
        "add up to 2 to 2, not to 1",
    ),
    "probabilities as logits": (
        {
            "semseg.probabilities": None,
            "semseg.logits": made_up(0)["semseg.probabilities"],
        },
        "name them 'semseg.probabilities'",
    ),
    "both": (
        {"semseg.logits": np.linspace(-3, 3, 3 * 4 * 96).reshape(3, 4, 8, 12)},
        "both logits and probabilities of semseg",
    ),
    "another task": ({"semantic.logits": np.zeros((4, 8, 12))}, "the name 'semantic.logits'"),
    "another content": (
        {"depth.logits": np.zeros((1, 8, 12))},
        "predictions of depth are values or variance",
    ),
    "integers": ({"depth.values": np.ones((3, 1, 8, 12), np.uint16)}, "must hold floats"),
    "NaN": ({"depth.values": np.full((3, 1, 8, 12), np.nan)}, "288 values that are NaN"),
    "one NaN": ({"depth.values": np.array([[[1.0, np.nan]]])}, "has 1 value that is NaN"),
    "no pixels": ({"depth.values": np.ones((3, 1, 0, 12))}, "it is 3x1x0x12"),
    "a negative variance": (
        {"depth.variance": np.full((3, 1, 8, 12), -1.0)},
        "variances are at least 0",
    ),
    "a variance of another size": (
        {"depth.variance": np.ones((3, 1, 4, 6))},
        "needs 'depth.values' of the same shape",
    ),
    "a variance of vectors": ({"normals.variance": np.ones((3, 3, 8, 12))}, "several passes"),
    "features as maps": ({"features": np.ones((3, 2))}, "are a vector"),
}


@pytest.fixture(scope="module")
def tasks():
    rows = [
        TaskRow("semseg", "semseg", 1, {"classes": list(CLASSES)}),
        TaskRow("depth", "depth", 1),
        TaskRow("normals", "normals", 1),
        TaskRow("edges", "edges", 1),
    ]
    return build_all(definitions(rows))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_array_has_its_fault(tasks, fault):
    changed, expected = FAULTS[fault]
    arrays = made_up(0) | changed
    found = list(
        array_faults({name: own for name, own in arrays.items() if own is not None}, tasks)
    )
    assert len(found) == 1 and expected in found[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sound_arrays_have_none_in_any_precision(tasks, dtype):
    generator = np.random.default_rng(0)
    arrays = {name: own.astype(dtype) for name, own in made_up(0).items()}
    arrays["depth.variance"] = generator.uniform(0, 1, arrays["depth.values"].shape).astype(dtype)
    arrays["edges.logits"] = generator.normal(size=(1, 8, 12)).astype(dtype)
    assert list(array_faults(arrays, tasks)) == []
    del arrays["semseg.probabilities"]
    arrays["semseg.logits"] = generator.normal(size=(4, 2, 2)).astype(dtype)
    assert list(array_faults(arrays, tasks)) == []


def test_what_a_file_can_hold_is_told_in_the_names_of_the_tasks(tasks):
    text = expected_arrays(tasks)
    assert "'semseg.probabilities' [4, h, w]" in text and "'depth.values' [1, h, w]" in text


def test_files_have_passes_and_the_length_of_features_in_common(tasks):
    assert shapes_of(made_up(0)) == {
        "semseg.probabilities": (3,),
        "depth.values": (3,),
        "normals.values": (3,),
        "features": (5,),
    }
    assert shapes_of({"depth.values": np.ones((1, 4, 4))}) == {"depth.values": ()}
