import torch

from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.kinds.semseg import SPEC
from labelgrid.tasks.task import Task, TaskDef


def task(name: str, classes: int) -> Task:
    row = TaskRow(
        name, "semseg", 4.0, {"classes": [f"class {number}" for number in range(classes)]}
    )
    return TaskDef.of(row).build()


def test_there_is_a_channel_a_class() -> None:
    semseg, parts = task("semseg", 40), task("parts", 7)
    assert (semseg.channels, parts.channels) == (40, 7)
    assert semseg.as_prediction(torch.zeros(2, 1, 3, 4, dtype=torch.int64)).shape == (2, 40, 3, 4)
    assert (parts.name, parts.kind) == ("parts", "semseg")


def test_its_price_is_the_projects_and_its_weight_the_surveys() -> None:
    assert (task("semseg", 2).cost, task("semseg", 2).weight) == (4.0, SPEC.weight)
    assert SPEC.weight == 1


def test_a_prediction_is_probabilities_of_the_classes() -> None:
    prediction = task("semseg", 5).activate(torch.randn(1, 5, 2, 2))
    torch.testing.assert_close(prediction.sum(1), torch.ones(1, 2, 2))
