"""Laws of depth from disparity."""

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.derivations.disparity_depth import Options, build
from labelgrid.tasks.task import definitions
from tests.rooms import room_labels

#: For the laws of relations: options of the relation, and of the task that it reads.
OPTIONS = {"baseline": 0.2}
READS = ({"disparity": True},)
PLANTED = ({"baseline": 0.2},)

TASKS = definitions(
    [TaskRow("stereo", "depth", 1.0, {"disparity": True}), TaskRow("depth", "depth", 1.0)]
)
CAMERA = Camera(fx=500.0, fy=400.0, cx=9.0, cy=9.0)


def derived(*disparities: float, camera: Camera | None = CAMERA) -> LabelArray:
    """The depth of one row of valid disparities, but the last, through a baseline of 0.2 m."""
    value = np.array([[*disparities, 7.0]], np.float32)[..., None]
    valid = np.ones(value.shape[:2], np.bool_)
    valid[0, -1] = False
    derive = build(Options(0.2)).between([TASKS["stereo"]], TASKS["depth"])
    return derive([LabelArray(value, valid)], camera)


def test_depth_is_focal_length_times_baseline_over_disparity() -> None:
    label = derived(1, 50, 200)
    assert label.value.dtype == np.float32 and label.value.shape == (1, 4, 1)
    np.testing.assert_allclose(label.value[0, :3, 0], [100, 2, 0.5], rtol=1e-6)
    assert label.valid.tolist() == [[True, True, True, False]]


def test_a_disparity_that_is_not_above_zero_or_has_no_finite_depth_is_not_valid() -> None:
    label = derived(0, -3, 1e-45, np.nan, 10)
    assert label.valid.tolist() == [[False, False, False, False, True, False]]
    assert np.isfinite(label.value).all()


def test_in_rooms_depth_comes_back_through_any_camera() -> None:
    depth = room_labels(2)["depth"]
    camera = Camera.of_view(66.0, depth.size)
    disparity = camera.fx * 0.2 / np.where(depth.valid[..., None], depth.value, 1)
    derive = build(Options(0.2)).between([TASKS["stereo"]], TASKS["depth"])
    label = derive([LabelArray(disparity.astype(np.float32), depth.valid)], camera)
    assert np.array_equal(label.valid, depth.valid)
    np.testing.assert_allclose(label.value[label.valid], depth.value[label.valid], rtol=1e-5)


def test_without_a_camera_there_is_no_depth() -> None:
    with pytest.raises(LabelError, match="Depth follows from disparity through"):
        derived(1, camera=None)


@pytest.mark.parametrize(
    ("reads", "gives", "fault"),
    [
        ("depth", "depth", "reads disparities; 'depth' has depths"),
        ("stereo", "stereo", "derives depths; 'stereo' has disparities"),
    ],
)
def test_other_tasks_are_refused(reads: str, gives: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        build(Options(0.2)).between([TASKS[reads]], TASKS[gives])


def test_a_baseline_must_be_given_in_metres() -> None:
    with pytest.raises(RecipeError, match=r"(?s)not given.*`baseline = 0.12`"):
        build(Options()).between([TASKS["stereo"]], TASKS["depth"])
    for wrong in (-0.1, 5000.0):
        with pytest.raises(ValueError, match="baseline must be from 0 to 1000"):
            Options(wrong)
