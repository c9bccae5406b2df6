import torch

from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef


def test_depth_is_in_metres_and_disparity_has_no_unit() -> None:
    depth = TaskDef.of(TaskRow("depth", "depth", 1.0))
    disparity = TaskDef.of(TaskRow("stereo", "depth", 1.0, {"disparity": True}))
    assert (depth.build().unit, disparity.build().unit) == ("m", "")
    assert disparity.build().metric().compute()["RMSE"].unit == ""


def test_a_prediction_is_the_raw_output() -> None:
    raw = torch.randn(2, 1, 3, 4)
    assert torch.equal(TaskDef.of(TaskRow("depth", "depth", 1.0)).build().activate(raw), raw)
