from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from labelgrid.evidence.figure_doubts import compare_with_earlier, compare_with_ranges
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.kinds.normals import (
    AxisCorrelations,
    axis_correlations,
    direction_figures,
    judge_axes,
    turn_normals,
)
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef
from tests.rooms import room_labels

TASK_DEF = TaskDef.of(TaskRow("normals", "normals", 1.0))
TASK = TASK_DEF.build()


OPTIONS = SimpleNamespace(axes="x right, y up, z toward the camera")
Vectors = NDArray[np.float32]


def test_it_has_the_surveys_weight_and_the_mean_angle_as_its_headline() -> None:
    assert (TASK.weight, TASK.headline, TASK.unit, TASK.channels) == (10, "mErr", "degree", 3)


def test_a_normal_that_points_the_other_way_is_as_wrong_as_can_be() -> None:
    truth = torch.tensor([0.6, 0.0, 0.8]).view(1, 3, 1, 1)
    target = Target(truth, torch.ones(1, 1, 1, 1, dtype=torch.bool))
    mirrored = truth * torch.tensor([-1.0, 1, 1]).view(1, 3, 1, 1)
    right, flipped, opposite = (
        TASK.loss(5 * raw, target).item() for raw in (truth, mirrored, -truth)
    )
    assert right < 1e-6 < flipped < opposite
    metric = TASK.metric()
    metric.update(TASK.activate(-5 * truth), target)
    assert round(metric.compute()["mErr"].value, 4) == 180


def test_a_prediction_has_length_one() -> None:
    prediction = TASK.activate(torch.randn(2, 3, 4, 5))
    torch.testing.assert_close(prediction.norm(dim=1), torch.ones(2, 4, 5))


def test_normals_of_cameras_that_look_anywhere_are_said_to_be_in_world_axes() -> None:
    labels = []
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        seen = np.random.default_rng(0).normal((0, 0.3, 1), 0.3, (20, 20, 3))
        cosine, sine = np.cos(angle), np.sin(angle)
        turned = seen @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
        turned /= np.linalg.norm(turned, axis=-1, keepdims=True)
        labels.append(direction_figures(turned, np.ones((20, 20), bool), TASK_DEF.options))
    (doubt,) = compare_with_ranges("normals", labels)
    assert "the mean z (toward the camera)" in doubt.what
    assert "their normals are in world axes, not the camera's" in doubt.what


def test_sparse_normals_are_kept_at_a_smaller_size() -> None:
    value = np.zeros((60, 80, 3), np.float32)
    valid = np.zeros((60, 80), bool)
    valid[::5, ::5] = True
    value[valid] = (0.6, 0, 0.8)
    whole = Placement(
        source=(slice(0, 60), slice(0, 80)), target=(slice(0, 12), slice(0, 16)), canvas=(12, 16)
    )
    placed, placed_valid = turn_normals(value, valid, whole, None)
    assert placed_valid.all()
    assert np.abs(placed - (0.6, 0, 0.8)).max() < 1e-6


def test_axes_whose_flip_agrees_with_earlier_labels_are_named() -> None:
    height = np.linspace(1, -1, 20)[:, None] * np.ones((20, 20))
    right = np.stack([0 * height, -0.6 * height, np.ones((20, 20))], -1)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    figures = []
    for sign in (1, -1):
        value = right * np.array([1, sign, 1])
        figures.append(direction_figures(value, np.ones((20, 20), bool), TASK_DEF.options))
    (doubt,) = compare_with_earlier("normals", [figures[1]] * 12, [figures[0]] * 12)
    assert "the correlation of y with the height is 0.99" in doubt.what
    assert 'with `axes = "x right, y down, z toward the camera"`.' in doubt.what


def room(number: int) -> Vectors:
    return room_labels(number)["normals"].value


def ball(number: int) -> Vectors:
    """The normals [h, w, 3] of a ball from above, on a table that faces the camera and up."""
    rows, columns = np.indices((48, 64))
    x = (columns - 31.5 - number % 5) / 22
    y = (23.5 - rows) / 22 + 0.3
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    normals = np.stack([x, y, z], -1)
    normals[x**2 + y**2 > 0.98] = (0, 0.6, 0.8)
    return normals.astype(np.float32)


def correlations(normals: Vectors) -> AxisCorrelations | None:
    return axis_correlations(normals, np.abs(normals).sum(-1) > 0, OPTIONS)


@pytest.mark.parametrize("things", [room, ball])
def test_right_normals_of_rooms_and_things_are_no_doubt(things: object) -> None:
    assert callable(things)
    assert judge_axes([correlations(things(number)) for number in range(12)], OPTIONS) == ""


@pytest.mark.parametrize("things", [room, ball])
def test_exchanged_axes_are_named(things: object) -> None:
    assert callable(things)
    measurements = [correlations(things(number)[..., [1, 0, 2]]) for number in range(12)]
    assert '`axes = "x up, y right, z toward the camera"`' in judge_axes(measurements, OPTIONS)


def test_floors_that_hang_are_named() -> None:
    from_above = [number for number in range(30) if room(number)[..., 1].mean() > 0.04]
    measurements = [correlations(room(number) * (1, -1, 1)) for number in from_above]
    assert '`axes = "x right, y down, z toward the camera"`' in judge_axes(measurements, OPTIONS)


def test_few_labels_and_one_direction_say_nothing() -> None:
    assert (
        judge_axes([correlations(room(number)[..., [1, 0, 2]]) for number in range(7)], OPTIONS)
        == ""
    )
    assert correlations(np.broadcast_to(np.float32([0, 0, 1]), (48, 64, 3))) is None
