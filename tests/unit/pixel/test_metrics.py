import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from labelgrid.basics.results import Result
from labelgrid.pixel.metrics import (
    DepthMetric,
    EdgeMetric,
    Metric,
    NormalsMetric,
    SaliencyMetric,
    SegmentationMetric,
)
from labelgrid.pixel.prediction import one_hot
from labelgrid.pixel.set_f_metric import SetFMetric
from labelgrid.pixel.target import Target

COVERS = ["labelgrid.pixel.set_f_metric"]


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def labelled(value: Tensor) -> Target:
    return Target(value, torch.ones(len(value), 1, *value.shape[2:], dtype=torch.bool))


def measured(metric: Metric, *images: tuple[Tensor, Tensor]) -> dict[str, float]:
    for prediction, truth in images:
        metric.update(prediction, labelled(truth))
        metric.end_image()
    return {name: result.value for name, result in metric.compute().items()}


def test_miou_is_of_the_sums_and_not_a_mean_of_images() -> None:
    truth, guess = torch.tensor([[[[0, 0, 0, 1]]]]), torch.tensor([[[[0, 0, 1, 1]]]])
    values = measured(SegmentationMetric(2), (one_hot(guess, 2), truth), (one_hot(truth, 2), truth))
    assert values["mIoU"] == pytest.approx(100 * (5 / 6 + 2 / 3) / 2)
    assert values["pixAcc"] == pytest.approx(100 * 7 / 8)


def test_a_class_nowhere_found_is_left_out_or_counts_as_zero() -> None:
    truth = torch.tensor([[[[0, 1]]]])
    assert measured(SegmentationMetric(4), (one_hot(truth, 4), truth))["mIoU"] == 100
    assert measured(SegmentationMetric(4, absent="zero"), (one_hot(truth, 4), truth))["mIoU"] == 50
    single = truth[..., :1]
    assert (
        measured(SegmentationMetric(4, absent="zero"), (one_hot(single, 4), single))["mIoU"] == 25
    )


def test_a_class_predicted_but_never_true_counts_against() -> None:
    truth, guess = torch.tensor([[[[0, 0]]]]), torch.tensor([[[[0, 1]]]])
    assert measured(SegmentationMetric(2), (one_hot(guess, 2), truth))["mIoU"] == 25


def test_each_class_has_its_own_iou_and_number_of_pixels() -> None:
    truth, guess = torch.tensor([[[[0, 0, 0, 1]]]]), torch.tensor([[[[0, 0, 1, 2]]]])
    metric = SegmentationMetric(4)
    measured(metric, (one_hot(guess, 4), truth))
    scores = metric.class_scores()
    assert [score.iou for score in scores[:3]] == [pytest.approx(200 / 3), 0, 0]
    assert math.isnan(scores[3].iou) and [score.pixels for score in scores] == [3, 1, 0, 0]
    metric.sums += math.nan
    assert all(math.isnan(score.iou) and score.pixels == 0 for score in metric.class_scores())


@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_without_a_pixel_there_is_no_miou(absent: str) -> None:
    assert math.isnan(SegmentationMetric(3, absent=absent).compute()["mIoU"].value)  # type: ignore[arg-type]


def test_depth_errors_are_of_pixels_in_metres() -> None:
    metric = DepthMetric()
    assert measured(metric, (row(1, 2, 3), row(1, 2, 6)), (row(4), row(5))) == {
        "RMSE": pytest.approx(math.sqrt(10 / 4)),
        "absErr": 1.0,
    }
    assert metric.compute()["RMSE"] == Result("RMSE", math.sqrt(10 / 4), "m", "lower")


def test_a_depth_behind_the_camera_counts_as_none() -> None:
    assert measured(DepthMetric(), (row(-5), row(2)))["absErr"] == pytest.approx(2)
    assert measured(DepthMetric(least=0.5), (row(-5), row(2)))["absErr"] == 1.5


def test_a_million_pixels_lose_no_digits() -> None:
    truth = torch.full((1, 1, 1000, 1000), 1000.0)
    assert measured(DepthMetric(), (truth + 0.25, truth))["RMSE"] == pytest.approx(0.25, abs=1e-12)


def test_angles_run_from_none_over_right_to_opposite_whatever_the_length() -> None:
    up = torch.tensor([0.0, 2.0, 0.0]).view(1, 3, 1, 1)
    right = torch.tensor([0.1, 0.0, 0.0]).view(1, 3, 1, 1)
    angles = [
        measured(NormalsMetric(), (v, up))["mErr"] for v in (up, right, -up, torch.zeros_like(up))
    ]
    assert angles == pytest.approx([0, 90, 180, 90])


def test_a_small_angle_is_not_lost_to_rounding() -> None:
    angle = 1e-4
    tilted = torch.tensor([math.sin(angle), 0.0, math.cos(angle)]).view(1, 3, 1, 1)
    truth = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    assert measured(NormalsMetric(), (tilted, truth))["mErr"] == pytest.approx(
        math.degrees(angle), rel=1e-4
    )


def test_shares_of_pixels_lie_below_their_limits() -> None:
    angles = torch.deg2rad(torch.tensor([5.0, 20.0, 25.0, 60.0])).view(1, 1, 1, 4)
    found = torch.cat([angles.sin(), torch.zeros_like(angles), angles.cos()], 1)
    truth = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 4)
    values = measured(NormalsMetric(), (found, truth))
    assert [values[f"below {limit}"] for limit in ("11.25", "22.5", "30")] == [25, 50, 75]
    assert values["mErr"] == pytest.approx(27.5)


def test_saliency_is_a_mean_of_images_and_nothing_found_in_nothing_is_right() -> None:
    empty = (row(0, 0, 0, 0), row(0, 0, 0, 0))
    half = (row(1, 1, 0, 0), row(1, 0, 0, 0))
    values = measured(SaliencyMetric(), empty, half)
    assert values["IoU"] == pytest.approx(100 * (1 + 0.5) / 2)
    precision, recall = (0 + 0.5) / 2, (0 + 1) / 2
    assert values["maxF"] == pytest.approx(100 * 2 * precision * recall / (precision + recall))


def test_saliency_takes_the_best_threshold_of_all_images_together() -> None:
    low, high = (row(0.3, 0.1), row(1, 0)), (row(0.95, 0.5), row(1, 0))
    assert measured(SaliencyMetric(), low)["IoU"] == 100
    assert measured(SaliencyMetric(), high)["IoU"] == 100
    assert measured(SaliencyMetric(), low, high)["IoU"] == 75


def test_saliency_above_a_threshold_is_strictly_above_it() -> None:
    assert measured(SaliencyMetric(), (row(0.9).double(), row(1)))["maxF"] == 100
    assert measured(SaliencyMetric(), (row(0.2), row(0)))["IoU"] == 100


def test_saliency_rounds_down_to_eight_bits_where_told() -> None:
    between = (row(51.5 / 255, 0), row(1, 0))  # above 0.2 = 51 / 255, but not in 8 bits
    assert measured(SaliencyMetric(), between)["IoU"] == 100
    assert measured(SaliencyMetric(eight_bit=True), between)["IoU"] == 0


def test_recall_weighs_less_in_max_f_where_told() -> None:
    images = (row(0.3, 0.3, 0.3, 0.1), row(1, 0, 0, 1))  # precision 1/3, recall 1/2
    for squared, wanted in ((1.0, 0.4), (0.3, 1.3 / 6 / 0.6), (4.0, 5 / 6 / (4 / 3 + 0.5))):
        assert measured(SaliencyMetric(beta_squared=squared), images)["maxF"] == pytest.approx(
            100 * wanted
        )


def test_eight_bits_have_255_steps() -> None:
    for high, low in ((0.902, 0.899), (0.51, 0.5)):  # on both sides of the thresholds 0.9 and 0.5
        assert measured(SaliencyMetric(eight_bit=True), (row(high, low), row(1, 0)))["IoU"] == 100


@pytest.mark.parametrize("metric, figure", [(SaliencyMetric, "maxF"), (EdgeMetric, "AP")])
def test_half_and_more_is_positive(metric: type[Metric], figure: str) -> None:
    assert measured(metric(), (row(0.9, 0.1), row(0.5, 0.49)))[figure] == 100


def test_saliency_of_a_batch_in_strips_is_that_of_each_image() -> None:
    draws = torch.Generator().manual_seed(3)
    found = torch.rand(3, 1, 4, 5, generator=draws)
    truth = (
        torch.rand(3, 1, 4, 5, generator=draws) < torch.tensor([0.2, 0.5, 0.0]).view(3, 1, 1, 1)
    ).float()
    one_by_one = measured(
        SaliencyMetric(), *((found[i : i + 1], truth[i : i + 1]) for i in range(3))
    )
    strips = SaliencyMetric()
    for rows in (slice(0, 1), slice(1, 4)):
        strips.update(found[:, :, rows], labelled(truth[:, :, rows]))
    strips.end_image()
    assert {name: result.value for name, result in strips.compute().items()} == pytest.approx(
        one_by_one
    )
    assert 0 < one_by_one["IoU"] < 100


def test_saliency_that_finds_nothing_right_is_zero_and_that_of_no_image_is_unknown() -> None:
    assert measured(SaliencyMetric(), (row(1, 0), row(0, 1))) == {"IoU": 0, "maxF": 0}
    assert all(math.isnan(value) for value in measured(SaliencyMetric()).values())


def test_f_over_the_set_is_of_all_pixels_at_one_threshold_which_a_positive_may_equal() -> None:
    # At 0.5, 2 of 3 found pixels are right and both truths are found; at 0.65, the one found is
    # right.
    images = (row(0.5, 0.1), row(1, 0)), (row(0.7, 0.6), row(1, 0))
    assert measured(SetFMetric(1.0), *images)["setF"] == pytest.approx(
        100 * 2 * (2 / 3) / (2 / 3 + 1)
    )
    assert measured(SetFMetric(), *images)["setF"] == pytest.approx(130 * 0.5 / (0.3 + 0.5))
    assert (
        measured(SetFMetric(), (row(0.5, 0.49), row(1, 0)))["setF"] == 100
    )  # 0.5 is at a threshold


def test_f_over_the_set_is_zero_where_nothing_is_found_right_and_unknown_without_a_positive() -> (
    None
):
    assert measured(SetFMetric(), (row(0.0, 1), row(1, 0)))["setF"] == 0
    assert math.isnan(measured(SetFMetric(), (row(0.3), row(0)))["setF"])
    assert math.isnan(measured(SetFMetric())["setF"])


def test_every_figure_has_its_name_unit_and_direction() -> None:
    made = (
        SegmentationMetric(2),
        DepthMetric(),
        DepthMetric(""),
        NormalsMetric(),
        SaliencyMetric(),
        EdgeMetric(),
        SetFMetric(),
    )
    found = [
        {name: (r.name, r.unit, r.better) for name, r in metric.compute().items()}
        for metric in made
    ]

    def percent(*names: str) -> dict[str, tuple[str, str, str]]:
        return {name: (name, "%", "higher") for name in names}

    assert found == [
        percent("mIoU", "pixAcc"),
        {name: (name, "m", "lower") for name in ("RMSE", "absErr")},
        {name: (name, "", "lower") for name in ("RMSE", "absErr")},
        {"mErr": ("mErr", "degree", "lower")} | percent("below 11.25", "below 22.5", "below 30"),
        percent("IoU", "maxF"),
        percent("AP"),
        percent("setF"),
    ]


def test_a_saliency_image_that_is_not_ended_is_noticed() -> None:
    metric = SaliencyMetric()
    metric.update(row(1, 0), labelled(row(1, 0)))
    with pytest.raises(ValueError, match="call `end_image`"):
        metric.compute()
    with pytest.raises(ValueError, match="call `end_image`"):
        SaliencyMetric().merge(metric)
    two = torch.zeros(2, 1, 1, 2)
    with pytest.raises(ValueError, match="2 images follow 1 unended ones"):
        metric.update(two, labelled(two))
    metric.end_image()
    metric.end_image()
    assert metric.compute()["IoU"].value == 100


def test_a_saliency_image_without_a_valid_pixel_does_not_count() -> None:
    metric = SaliencyMetric()
    metric.update(row(1, 0), Target(row(0, 1), torch.zeros(1, 1, 1, 2, dtype=torch.bool)))
    metric.end_image()
    assert measured(metric, (row(1, 1), row(1, 0)))["IoU"] == 50


def test_average_precision_is_all_for_the_right_order_and_the_share_of_edges_for_none() -> None:
    assert measured(EdgeMetric(), (row(0.9, 0.8, 0.2, 0.1), row(1, 1, 0, 0)))["AP"] == 100
    assert measured(EdgeMetric(), (row(0.5, 0.5, 0.5, 0.5), row(1, 0, 0, 0)))["AP"] == 25
    assert measured(EdgeMetric(), (row(0.1, 0.2), row(1, 0)))["AP"] == 50


def test_probabilities_of_zero_and_one_have_their_steps() -> None:
    assert measured(EdgeMetric(), (row(1, 0), row(1, 0)))["AP"] == 100


def test_probabilities_near_0_and_1_are_no_ties() -> None:
    ends = (0.0, 1e-7), (1e-7, 1.1e-7), (0.5, 0.501), (1 - 2e-7, 1 - 1e-7), (1 - 1e-7, 1.0)
    for low, high in ends:
        assert measured(EdgeMetric(), (row(low, high), row(0, 1)))["AP"] == 100
        assert measured(EdgeMetric(), (row(low, high), row(1, 1)))["AP"] == 100
    assert (
        measured(EdgeMetric(), (row(-0.01, 1.01), row(0, 1)))["AP"] == 100
    )  # rounding beyond the range


def test_a_set_without_an_edge_has_no_average_precision() -> None:
    assert math.isnan(measured(EdgeMetric(), (row(0.5, 0.1), row(0, 0)))["AP"])


def test_metrics_of_different_makings_do_not_merge() -> None:
    with pytest.raises(ValueError, match="Only metrics with the same options can be merged"):
        SegmentationMetric(3).merge(SegmentationMetric(4))


def test_miou_counts_a_class_that_was_not_annotated_neither_for_nor_against() -> None:
    told = torch.eye(3)[[1, 2, 1]].T.reshape(1, 3, 1, 3) * 0.6 + 0.1 * torch.tensor(
        [2.0, 0, 1]
    ).view(1, 3, 1, 1)
    truth = torch.tensor([0, 2, 1]).view(1, 1, 1, 3)
    valid = torch.ones(1, 1, 1, 3, dtype=torch.bool)
    plain, some = SegmentationMetric(3), SegmentationMetric(3)
    plain.update(told, Target(truth, valid))
    some.update(told, Target(truth, valid, torch.tensor([[True, False, True]])))
    assert plain.compute()["pixAcc"].value == pytest.approx(200 / 3)
    assert {name: result.value for name, result in some.compute().items()} == {
        "mIoU": 100,
        "pixAcc": 100,
    }


def test_a_prediction_of_no_annotated_class_misses_the_true_one_alone() -> None:
    chair = torch.eye(3)[[1, 1, 0, 2]].T.reshape(1, 3, 1, 4)
    truth, valid = (
        torch.tensor([0, 2, 0, 2]).view(1, 1, 1, 4),
        torch.ones(1, 1, 1, 4, dtype=torch.bool),
    )
    some = SegmentationMetric(3)
    some.update(chair, Target(truth, valid, torch.tensor([[True, False, True]])))
    assert {name: result.value for name, result in some.compute().items()} == {
        "mIoU": 50,
        "pixAcc": 50,
    }


#: A metric with as many channels of its predictions, and of its labels.
MADE: list[tuple[Callable[[], Metric], int, int]] = [
    (lambda: SegmentationMetric(3), 3, 1),
    (lambda: SegmentationMetric(3, absent="zero"), 3, 1),
    (DepthMetric, 1, 1),
    (NormalsMetric, 3, 3),
    (SaliencyMetric, 1, 1),
    (EdgeMetric, 1, 1),
    (SetFMetric, 1, 1),
]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("make", "channels", "label_channels"), MADE)
def test_a_prediction_that_is_not_a_number_makes_all_figures_unknown(
    make: Callable[[], Metric], channels: int, label_channels: int, wrong: float
) -> None:
    draws = torch.Generator().manual_seed(6)
    found = torch.rand(2, channels, 4, 5, generator=draws)
    truth = (torch.rand(2, label_channels, 4, 5, generator=draws) < 0.5).float()
    target = Target(truth, torch.ones(2, 1, 4, 5, dtype=torch.bool))
    target.valid[:, :, :, 4] = False

    def figures(prediction: Tensor, *rows: slice, merged: bool = False) -> list[float]:
        metrics = [make(), make()]
        for image in (0, 1):
            for part in rows:
                labels = Target(
                    target.value[image : image + 1, :, part],
                    target.valid[image : image + 1, :, part],
                )
                metrics[image * merged].update(prediction[image : image + 1, :, part], labels)
            metrics[image * merged].end_image()
        if merged:
            metrics[0].merge(metrics[1])
        return [result.value for result in metrics[0].compute().values()]

    whole, strips = (slice(0, 4),), (slice(0, 1), slice(1, 4))
    sound = figures(found, *whole)
    assert all(map(math.isfinite, sound))
    for image, channel in itertools.product((0, 1), range(channels)):
        behind, seen = found.clone(), found.clone()
        behind[image, channel, 2, 4] = seen[image, channel, 2, 3] = wrong
        for rows, merged in itertools.product((whole, strips), (False, True)):
            assert figures(behind, *rows, merged=merged) == pytest.approx(sound)
            assert all(map(math.isnan, figures(seen, *rows, merged=merged)))
