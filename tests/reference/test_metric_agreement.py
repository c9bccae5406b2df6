"""Metrics beside torchmetrics, scikit-learn and scikit-image, and where their conventions differ."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.morphology import thin
from sklearn.metrics import average_precision_score
from torch import Tensor

from labelgrid.pixel.boundaries import THRESHOLDS
from labelgrid.pixel.boundary_metric import BoundaryMetric
from labelgrid.pixel.metrics import (
    DepthMetric,
    EdgeMetric,
    NormalsMetric,
    SaliencyMetric,
    SegmentationMetric,
)
from labelgrid.pixel.set_f_metric import SetFMetric
from labelgrid.pixel.target import Target
from tests.oracles import beside
from tests.reference.drawn_labels import (
    DRAWS,
    HEIGHT,
    IMAGES,
    WIDTH,
    kept,
    masked,
    soft_and_truth,
    uniform,
    values,
)

with beside():
    from torchmetrics.classification import (
        BinaryAveragePrecision,
        BinaryF1Score,
        BinaryFBetaScore,
        BinaryJaccardIndex,
        BinaryPrecision,
        BinaryPrecisionRecallCurve,
        BinaryRecall,
        MulticlassAccuracy,
        MulticlassJaccardIndex,
    )
    from torchmetrics.image import SpectralAngleMapper
    from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError


# --- classes: torchmetrics' JaccardIndex
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_miou_is_that_of_torchmetrics(absent: str) -> None:
    target = masked(torch.randint(4, (IMAGES, 1, HEIGHT, WIDTH), generator=DRAWS))
    prediction = uniform(6) * torch.tensor([1, 1, 1, 1, 0.8, 0]).view(
        6, 1, 1
    )  # 4: predicted only; 5: nowhere
    found = values(SegmentationMetric(6, absent=absent), prediction, target)  # type: ignore[arg-type]
    seen = kept(prediction, target).argmax(1), kept(target.value, target)[:, 0]
    by_class = MulticlassJaccardIndex(6, average="none")(*seen)
    assert by_class[4] == by_class[5] == 0 < by_class[:4].min()
    mean = (
        MulticlassJaccardIndex(6, average="macro")(*seen) if absent == "skip" else by_class.mean()
    )
    assert found["mIoU"] == pytest.approx(100 * mean.item(), rel=1e-6)
    assert found["pixAcc"] == pytest.approx(
        100 * MulticlassAccuracy(6, average="micro")(*seen).item(), rel=1e-6
    )


# --- depth and normals: torchmetrics' errors and spectral angle
# ------------------------------------------------------


def test_errors_of_depth_are_those_of_torchmetrics() -> None:
    target = masked(5 * uniform())
    prediction = target.value + uniform() - 0.3
    found = values(DepthMetric(), prediction, target)
    seen = kept(prediction, target).clamp(min=1e-9), kept(target.value, target)
    assert found["RMSE"] == pytest.approx(MeanSquaredError(squared=False)(*seen).item(), rel=1e-6)
    assert found["absErr"] == pytest.approx(MeanAbsoluteError()(*seen).item(), rel=1e-6)
    assert prediction.min() < 0  # which torchmetrics takes as it is, unless it is raised first


def test_the_mean_angle_is_torchmetrics_spectral_angle() -> None:
    target = masked(torch.randn(IMAGES, 3, HEIGHT, WIDTH, generator=DRAWS, dtype=torch.float64))
    prediction = target.value + uniform(3)
    seen = [kept(vectors, target).T[None, :, :, None] for vectors in (prediction, target.value)]
    wanted = math.degrees(SpectralAngleMapper()(*seen).item())
    assert values(NormalsMetric(), prediction, target)["mErr"] == pytest.approx(wanted, rel=1e-6)


def test_a_zero_vector_is_90_degrees_off_here_and_makes_torchmetrics_angle_unknown() -> None:
    zero, up = torch.zeros(1, 3, 1, 1), torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    assert values(NormalsMetric(), zero, Target(up, torch.ones(1, 1, 1, 1).bool()))["mErr"] == 90
    assert SpectralAngleMapper()(zero, up).isnan()


# --- saliency: torchmetrics' IoU, precision, recall and F at thresholds
# ----------------------------------------------


def mean_of_images(
    make: Callable[[float], Callable[..., Tensor]], prediction: Tensor, target: Target
) -> Tensor:
    """A binary metric of torchmetrics at each threshold, averaged over images."""
    seen = [
        [kept(part, target, image) for part in (prediction, target.value.int())]
        for image in range(IMAGES)
    ]
    return torch.stack(
        [
            torch.stack([make(level)(*each) for each in seen]).mean()
            for level in SaliencyMetric.THRESHOLDS.tolist()
        ]
    )


@pytest.mark.parametrize("beta_squared", [1.0, 0.3])
def test_figures_of_saliency_are_torchmetrics_averaged_over_images(beta_squared: float) -> None:
    prediction, target = soft_and_truth()
    found = values(SaliencyMetric(beta_squared=beta_squared), prediction, target)
    iou, precision, recall, f = (
        mean_of_images(make, prediction, target)
        for make in (
            BinaryJaccardIndex,
            BinaryPrecision,
            BinaryRecall,
            lambda level: BinaryFBetaScore(math.sqrt(beta_squared), level),
        )
    )
    of_means = (1 + beta_squared) * precision * recall / (beta_squared * precision + recall)
    assert found["IoU"] == pytest.approx(100 * iou.max().item(), rel=1e-6)
    assert found["maxF"] == pytest.approx(100 * of_means.max().item(), rel=1e-6)
    assert found["maxF"] != pytest.approx(
        100 * f.max().item(), rel=1e-4
    )  # the mean of F is another figure


def test_max_f_of_one_image_is_on_torchmetrics_curve() -> None:
    prediction, target = (part[:1] for part in soft_and_truth())
    curve = BinaryPrecisionRecallCurve(thresholds=SaliencyMetric.THRESHOLDS.tolist())
    precision, recall, _ = curve(kept(prediction, target), kept(target.value.int(), target))
    best = (2 * precision * recall / (precision + recall)).nan_to_num(0).max()
    assert values(SaliencyMetric(), prediction, target)["maxF"] == pytest.approx(
        100 * best.item(), rel=1e-6
    )


@pytest.mark.parametrize("beta_squared", [1.0, 0.3])
def test_f_over_the_set_is_on_torchmetrics_curve_of_all_images(beta_squared: float) -> None:
    prediction, target = soft_and_truth()
    curve = BinaryPrecisionRecallCurve(thresholds=SetFMetric.THRESHOLDS.tolist())
    precision, recall, _ = curve(kept(prediction, target), kept(target.value.int(), target))
    f = (1 + beta_squared) * precision * recall / (beta_squared * precision + recall)
    found = values(SetFMetric(beta_squared), prediction, target)["setF"]
    assert found == pytest.approx(100 * f.nan_to_num(0).max().item(), rel=1e-6)
    averaged = values(SaliencyMetric(beta_squared=beta_squared), prediction, target)["maxF"]
    assert found != pytest.approx(averaged, rel=1e-4)  # the mean over images is another figure


def test_nothing_found_in_nothing_is_right_here_and_wrong_in_torchmetrics() -> None:
    nothing = torch.zeros(1, 1, 2, 2)
    assert values(SaliencyMetric(), nothing, Target(nothing, nothing == 0))["IoU"] == 100
    assert BinaryJaccardIndex()(nothing, nothing.int()) == 0
    assert BinaryJaccardIndex(zero_division=1)(nothing, nothing.int()) == 1


def test_a_pixel_at_a_threshold_is_negative_but_positive_on_torchmetrics_curve() -> None:
    at = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    assert BinaryJaccardIndex(threshold=0.5)(at, torch.ones_like(at).int()) == 0
    assert BinaryPrecisionRecallCurve(thresholds=[0.5])(at, torch.ones_like(at).int())[1][0] == 1
    metric = SaliencyMetric()
    metric.update(at, Target(torch.ones_like(at), at > 0))
    metric.end_image()
    level = metric.THRESHOLDS.tolist().index(0.5)
    assert metric.sums[0, level - 1] == 1 and metric.sums[0, level] == 0


# --- edges: average precision of torchmetrics and scikit-learn
# -------------------------------------------------------


def test_average_precision_is_torchmetrics_and_scikit_learns() -> None:
    prediction, target = soft_and_truth(0.1)
    seen = kept(prediction, target)[:, 0], kept(target.value.int(), target)[:, 0]
    exact = 100 * average_precision_score(seen[1], seen[0])
    assert 100 * BinaryAveragePrecision()(*seen).item() == pytest.approx(exact, rel=1e-5)
    assert values(EdgeMetric(), prediction, target)["AP"] == pytest.approx(exact, abs=0.1)


def test_a_set_without_an_edge_has_no_average_precision_here_and_0_in_the_others() -> None:
    soft, none = torch.tensor([0.2, 0.8]), torch.zeros(2)
    maps = none.view(1, 1, 1, 2)
    assert math.isnan(values(EdgeMetric(), soft.view(maps.shape), Target(maps, maps == 0))["AP"])
    with pytest.warns(UserWarning, match="recall is"):
        assert (
            BinaryAveragePrecision()(soft, none.int()) == average_precision_score(none, soft) == 0
        )


def test_a_prediction_that_is_not_a_number_has_no_value_here_and_one_in_torchmetrics() -> None:
    nan, truth = torch.full((1, 1, 1, 2), math.nan), torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    for metric in (SaliencyMetric(), SetFMetric(), EdgeMetric()):
        assert all(map(math.isnan, values(metric, nan, Target(truth, truth >= 0)).values()))
    labels = Target(truth.long(), truth >= 0)
    assert all(
        map(math.isnan, values(SegmentationMetric(2), nan.expand(1, 2, 1, 2), labels).values())
    )
    assert MulticlassJaccardIndex(2)(nan.expand(1, 2, 1, 2), truth[:, 0].long()) == 0.25
    assert BinaryJaccardIndex()(nan, truth.int()) == 0
    assert BinaryAveragePrecision()(nan.flatten(), truth.int().flatten()) == 0.5


# --- boundaries: torchmetrics' F of pixels thinned by scikit-image
# --------------------------------------------------


def test_ods_without_a_tolerance_is_torchmetrics_best_f_of_thinned_pixels() -> None:
    prediction, target = soft_and_truth()
    hidden = [
        torch.where(target.valid, part, 0)[:, 0].double().numpy()
        for part in (prediction, target.value)
    ]

    def thinned(maps: NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(np.stack([thin(each) for each in maps])).int()

    truth = thinned(hidden[1] >= 0.5)
    best = max(BinaryF1Score()(thinned(hidden[0] >= level), truth).item() for level in THRESHOLDS)
    assert values(BoundaryMetric(distance=0), prediction, target)["odsF"] == pytest.approx(
        100 * best, rel=1e-6
    )
