import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef

TASK = TaskDef.of(TaskRow("saliency", "saliency", 3.0)).build()


def test_it_has_the_surveys_weight_and_iou_as_its_headline() -> None:
    assert (TASK.weight, TASK.headline, TASK.channels) == (5, "IoU", 1)


def test_a_prediction_is_a_probability_that_two_classes_share() -> None:
    prediction = TASK.activate(torch.tensor([[[[0.0]]]]))
    assert prediction.item() == 0.5
    assert TASK.uncertainty(prediction[None]).item() == torch.tensor(2.0).log().item()


def test_a_rare_positive_weighs_more_than_a_frequent_negative() -> None:
    target = Target(torch.tensor([[[[1.0, 0, 0, 0]]]]), torch.ones(1, 1, 1, 4, dtype=torch.bool))
    salient, other = TASK.pixel_loss(torch.zeros(1, 1, 1, 4), target).flatten()[:2]
    torch.testing.assert_close(salient, 3 * other)


def test_options_of_its_metric_are_those_that_the_task_names_and_are_checked() -> None:
    row = TaskRow("saliency", "saliency", 3.0, {"metrics": {"IoU": {"beta_squared": 0.3}}})
    metric = TaskDef.of(row).build().metrics["IoU"]()
    assert metric.beta_squared == 0.3  # type: ignore[attr-defined]
    both = TaskRow(
        "saliency", "saliency", 3.0, {"headline": "setF", "metrics": {"IoU": {}, "setF": {}}}
    )
    assert {
        name: list(make().compute()) for name, make in TaskDef.of(both).build().metrics.items()
    } == {
        "IoU": ["IoU", "maxF"],
        "setF": ["setF"],
    }
    with pytest.raises(RecipeError, match="beta_squared"):
        TaskDef.of(
            TaskRow("saliency", "saliency", 3.0, {"metrics": {"IoU": {"beta_squared": 0.0}}})
        )
