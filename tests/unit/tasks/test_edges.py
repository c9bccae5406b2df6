import pytest
import torch

from labelgrid.errors import RecipeError
from labelgrid.labels.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef

TASK = TaskDef.of(TaskRow("edges", "edges", 5.0)).build()


def test_it_has_the_surveys_weight_and_average_precision_as_its_headline() -> None:
    assert (TASK.weight, TASK.headline, TASK.channels) == (50, "AP", 1)


def test_an_edge_weighs_19_times_another_pixel_in_any_image() -> None:
    for value in ([[[[1.0, 0]]]], [[[[1.0, 1]]]]):
        target = Target(torch.tensor(value), torch.ones(1, 1, 1, 2, dtype=torch.bool))
        assert round(TASK.pixel_loss(torch.zeros(1, 1, 1, 2), target)[0, 0, 0, 0].item(), 4) == 0.6585  # 0.95 ln 2


def test_ods_is_measured_where_it_is_chosen_with_its_options() -> None:
    chosen = {"AP": {}, "odsF": {"distance": 0.1}}
    metric = TaskDef.of(TaskRow("edges", "edges", 5.0, {"metrics": chosen})).build().metric()
    truth = torch.eye(20)[None, None]
    metric.update(truth.roll(2, 3) * 0.5, Target(truth, truth >= 0))
    metric.end_image()
    found = metric.compute()
    assert [*found] == ["AP", "odsF", "oisF", "boundary AP"]
    assert found["odsF"].value > 85 and found["AP"].value < 10
    for wrong in (-1.0, float("nan"), 3.0):
        with pytest.raises(RecipeError, match="distance"):
            TaskDef.of(TaskRow("edges", "edges", 5.0, {"metrics": {"AP": {}, "odsF": {"distance": wrong}}}))
