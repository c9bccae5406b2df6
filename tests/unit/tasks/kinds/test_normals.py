import numpy as np
import torch

from labelgrid.evidence.figure_doubts import compare_with_earlier, compare_with_ranges
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.kinds.normals import direction_figures, turn_normals
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef

TASK_DEF = TaskDef.of(TaskRow("normals", "normals", 1.0))
TASK = TASK_DEF.build()


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
