import torch

from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef

TASK = TaskDef.of(TaskRow("normals", "normals", 1.0)).build()


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
