import math

import pytest
import torch
from torch import Tensor

from labelgrid.pixel import boundary_metric
from labelgrid.pixel.boundary_metric import BoundaryMetric
from labelgrid.pixel.target import Target


def line(column: int, value: float = 1.0, count: int = 1) -> Tensor:
    """Maps [count, 1, 30, 40] of a vertical line; the diagonal has 50 pixels."""
    found = torch.zeros(count, 1, 30, 40)
    found[..., column] = value
    return found


def labelled(truth: Tensor) -> Target:
    return Target(truth, torch.ones_like(truth, dtype=torch.bool))


def drawn(count: int) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(4)
    truth = (torch.rand(count, 1, 30, 40, generator=draws) < 0.1).float()
    return (0.5 * truth + 0.5 * torch.rand(truth.shape, generator=draws)), truth


def values(metric: BoundaryMetric) -> dict[str, float]:
    return {name: result.value for name, result in metric.compute().items()}


def test_each_image_has_a_best_threshold_of_its_own() -> None:
    metric = BoundaryMetric()
    found = torch.cat([line(5, 0.8) + line(20, 0.3), line(5, 0.8) + line(20, 0.3)])
    metric.update(found, labelled(torch.cat([line(5), line(5) + line(20)])))
    metric.end_image()
    assert values(metric)["oisF"] == pytest.approx(100)
    assert values(metric)["odsF"] == pytest.approx(100 * 6 / 7)  # precision 3/4 and recall 1
    one = metric.compute()["odsF"]
    assert (one.name, one.unit, one.better) == ("odsF", "%", "higher")


def test_a_distance_is_a_share_of_the_diagonal() -> None:
    for distance, wanted in ((0.06, 100), (0.0599, 0)):
        metric = BoundaryMetric(distance=distance)
        metric.update(line(8, 0.5), labelled(line(5)))
        metric.end_image()
        assert values(metric)["odsF"] == pytest.approx(wanted)


@pytest.mark.parametrize("thresholds", [5, 99])
@pytest.mark.parametrize("memory", [1 << 30, 1])
def test_strips_batches_and_merged_halves_are_the_whole(
    memory: int, thresholds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, truth = drawn(4)
    whole = BoundaryMetric(0.03, True, thresholds)
    whole.update(found, labelled(truth))
    whole.end_image()
    monkeypatch.setattr(boundary_metric, "MEMORY", memory)
    halves = [BoundaryMetric(0.03, True, thresholds) for _ in range(2)]
    for half, images in zip(halves, (slice(0, 1), slice(1, 4)), strict=True):
        for rows in (slice(0, 11), slice(11, 30)):
            half.update(found[images, :, rows], labelled(truth[images, :, rows]))
        half.end_image()
    halves[0].merge(halves[1])
    assert torch.equal(halves[0].sums, whole.sums)
    assert 10 < values(whole)["odsF"] < 100


def test_thresholds_are_evenly_spaced_between_0_and_1_and_a_pixel_at_one_counts() -> None:
    for count, low, level in (
        (1, 0.49, 0.5),
        (4, 0.59, 0.6),
        (99, 0.989, 0.99),
        (999, 0.9989, 0.999),
    ):
        metric = BoundaryMetric(thresholds=count)
        metric.update(
            line(5, level) + line(20, low), labelled(line(5))
        )  # a threshold parts the two lines
        metric.end_image()
        assert values(metric)["odsF"] == pytest.approx(100)
        assert metric.sums.shape == (4, count + 1)
    between = BoundaryMetric(thresholds=4)
    between.update(line(5, 0.79) + line(20, 0.61), labelled(line(5)))  # no threshold does
    between.end_image()
    assert values(between)["odsF"] == pytest.approx(200 / 3)


def test_thresholds_can_be_named_and_metrics_of_others_do_not_merge() -> None:
    named = BoundaryMetric(thresholds=(0.001, 0.75, 0.999))
    named.update(line(5, 0.75) + line(20, 0.74), labelled(line(5)))
    named.end_image()
    assert values(named)["odsF"] == pytest.approx(100) and named.sums.shape == (4, 4)
    even, same = BoundaryMetric(thresholds=3), BoundaryMetric(thresholds=(0.25, 0.5, 0.75))
    even.merge(same)
    with pytest.raises(ValueError, match="same options"):
        even.merge(named)


@pytest.mark.parametrize("threads", [1, 5, 300])
def test_the_counts_do_not_depend_on_the_number_of_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, truth = drawn(2)
    sums = []
    for count in (2, threads):
        monkeypatch.setattr(boundary_metric, "cores", lambda count=count: count)
        metric = BoundaryMetric()
        metric.update(found, labelled(truth))
        metric.end_image()
        sums.append(metric.sums)
    assert torch.equal(*sums)


def test_99_thresholds_are_the_default_and_nested_ones_find_no_less() -> None:
    found, truth = drawn(2)
    best = []
    for metric in (BoundaryMetric(), *(BoundaryMetric(thresholds=count) for count in (99, 199))):
        metric.update(found, labelled(truth))
        metric.end_image()
        best.append(values(metric)["odsF"])
    assert best[0] == best[1] <= best[2]


def test_pixels_that_are_not_valid_are_neither_predicted_nor_true() -> None:
    metric = BoundaryMetric()
    valid = torch.ones(1, 1, 30, 40, dtype=torch.bool)
    valid[..., 20:] = False
    metric.update(line(5, 0.9) + line(30, 0.9), Target(line(5) + line(25), valid))
    metric.end_image()
    assert values(metric)["odsF"] == pytest.approx(100)


def test_a_set_without_a_true_boundary_has_no_value_and_one_without_a_prediction_zero() -> None:
    empty = BoundaryMetric()
    assert all(math.isnan(value) for value in values(empty).values())
    empty.update(line(5), labelled(0 * line(5)))
    empty.end_image()
    assert all(math.isnan(value) for value in values(empty).values())
    empty.update(0 * line(5), labelled(line(5)))
    empty.end_image()
    assert values(empty) == {"odsF": 0, "oisF": 0, "boundary AP": 0}


def test_an_image_that_is_not_ended_is_noticed() -> None:
    metric = BoundaryMetric()
    metric.update(line(5), labelled(line(5)))
    with pytest.raises(ValueError, match="call `end_image`"):
        metric.compute()
    with pytest.raises(ValueError, match="call `end_image`"):
        BoundaryMetric().merge(metric)
    with pytest.raises(ValueError, match="2 images follow 1 unended ones"):
        metric.update(line(5, count=2), labelled(line(5, count=2)))
    metric.end_image()
    metric.end_image()
    for other in (BoundaryMetric(0.011), BoundaryMetric(nms=True), BoundaryMetric(thresholds=5)):
        with pytest.raises(ValueError, match="same options"):
            metric.merge(other)
    assert values(metric)["odsF"] == pytest.approx(100)


def test_predictions_that_are_not_numbers_make_the_figures_unknown_at_valid_pixels_alone() -> None:
    for column, known in ((5, False), (35, True)):
        metric, found = BoundaryMetric(), line(5, 0.8)
        found[..., 3, column] = math.nan
        valid = torch.ones(1, 1, 30, 40, dtype=torch.bool)
        valid[..., 30:] = False
        metric.update(found, Target(line(5), valid))
        metric.end_image()
        assert all(math.isnan(value) != known for value in values(metric).values())


def test_predictions_of_half_precision_are_taken() -> None:
    metric = BoundaryMetric()
    metric.update(line(5).bfloat16(), labelled(line(5)))
    metric.end_image()
    assert values(metric)["odsF"] == pytest.approx(100)
