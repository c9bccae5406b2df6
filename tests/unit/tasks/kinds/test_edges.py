import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef

TASK = TaskDef.of(TaskRow("edges", "edges", 5.0)).build()


def test_it_has_the_surveys_weight_and_average_precision_as_its_headline() -> None:
    assert (TASK.weight, TASK.headline, TASK.channels) == (50, "AP", 1)


def test_an_edge_weighs_19_times_another_pixel_in_any_image() -> None:
    for value in ([[[[1.0, 0]]]], [[[[1.0, 1]]]]):
        target = Target(torch.tensor(value), torch.ones(1, 1, 1, 2, dtype=torch.bool))
        assert (
            round(TASK.pixel_loss(torch.zeros(1, 1, 1, 2), target)[0, 0, 0, 0].item(), 4) == 0.6585
        )  # 0.95 ln 2


def test_ods_is_measured_where_it_is_chosen_with_its_options() -> None:
    chosen = {"AP": {}, "odsF": {"distance": 0.1}}
    metric = TaskDef.of(TaskRow("edges", "edges", 5.0, {"metrics": chosen})).build().metric()
    truth = torch.eye(20)[None, None]
    metric.update(truth.roll(2, 3) * 0.5, Target(truth, truth >= 0))
    metric.end_image()
    found = metric.compute()
    assert [*found] == ["AP", "odsF", "oisF", "boundary AP"]
    assert found["odsF"].value > 85 and found["AP"].value < 10


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("distance", -1.0),
        ("distance", float("nan")),
        ("distance", 3.0),
        ("thresholds", 0),
        ("thresholds", 10_000),
    ]
    + [("thresholds", wrong) for wrong in ([], [0.5, 0.2], [0.0, 0.5], [0.5, 1.0])],
)
def test_options_of_ods_are_checked(name: str, wrong: object) -> None:
    with pytest.raises(RecipeError, match=name):
        TaskDef.of(TaskRow("edges", "edges", 5.0, {"metrics": {"AP": {}, "odsF": {name: wrong}}}))


@pytest.mark.parametrize(
    ("count", "wanted"), [(9, 0), (19, 100), ([0.06, 0.5], 100), ([0.08, 0.5], 0)]
)
def test_ods_takes_its_thresholds_or_their_number(count: int | list[float], wanted: float) -> None:
    chosen = {"AP": {}, "odsF": {"thresholds": count}}
    metric = TaskDef.of(TaskRow("edges", "edges", 5.0, {"metrics": chosen})).build().metric()
    truth = torch.eye(20)[None, None]
    metric.update(truth * 0.07, Target(truth, truth >= 0))  # the lowest threshold is 0.1 or 0.05
    metric.end_image()
    assert metric.compute()["odsF"].value == pytest.approx(wanted)
