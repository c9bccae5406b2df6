import pytest
import torch

from labelgrid.pixel.metric_set import MetricSet
from labelgrid.pixel.metrics import DepthMetric, SaliencyMetric, SegmentationMetric
from labelgrid.pixel.target import Target


def target(value: float) -> Target:
    return Target(torch.full((1, 1, 2, 2), value), torch.ones(1, 1, 2, 2, dtype=torch.bool))


def counted(metric: MetricSet, *values: float) -> MetricSet:
    for value in values:
        metric.update(torch.full((1, 1, 2, 2), 0.75), target(value))
        metric.end_image()
    return metric


def made() -> MetricSet:
    return MetricSet([DepthMetric(), SaliencyMetric()])


def test_a_set_has_the_figures_of_each_of_its_metrics_in_order() -> None:
    assert list(made().compute()) == ["RMSE", "absErr", "IoU", "maxF"]
    figures = counted(made(), 1.0).compute()
    assert (figures["RMSE"].value, figures["IoU"].value) == (0.25, 100)


def test_merging_sets_merges_each_metric() -> None:
    one, other = counted(made(), 1.0), counted(made(), 0.0)
    one.merge(other)
    assert one.compute() == counted(made(), 1.0, 0.0).compute()


def test_sets_of_other_metrics_do_not_merge() -> None:
    with pytest.raises(ValueError, match="zip"):
        made().merge(MetricSet([DepthMetric()]))


def test_a_set_has_the_class_scores_of_the_first_metric_that_has_some() -> None:
    truth = torch.tensor([[[[0, 1]]]])
    metric = MetricSet([SegmentationMetric(2)])
    pixels = Target(truth, torch.ones(1, 1, 1, 2).bool())
    metric.update(torch.eye(2)[[0, 0]].T.view(1, 2, 1, 2), pixels)
    assert [score.iou for score in metric.class_scores()] == [50.0, 0.0]
    assert MetricSet([]).class_scores() == []
