"""Losses, uncertainties, disagreements and metrics against slow float64 versions of their published equations."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm
from torch import Tensor

from labelgrid.data.frame import Frame, content_means
from labelgrid.pixel import disagreement, losses, metrics
from labelgrid.pixel.target import Target
from labelgrid.pixel.uncertainty import (
    BinaryMoments,
    ClassMoments,
    GaussianMoments,
    Moments,
    VectorMoments,
)

Array = NDArray[np.float64]
RNG = np.random.default_rng(0)
START = RNG.bit_generator.state
PASSES, BATCH, HEIGHT, WIDTH = 10, 2, 4, 5


@pytest.fixture(autouse=True)
def same_draws_in_any_company() -> None:
    RNG.bit_generator.state = START


def pixels(
    batch: int = BATCH, height: int = HEIGHT, width: int = WIDTH
) -> list[tuple[int, int, int]]:
    return list(itertools.product(range(batch), range(height), range(width)))


def streamed(moments: Moments, samples: Array, dtype: torch.dtype) -> Array:
    for sample in samples:
        moments.update(torch.from_numpy(sample).to(dtype))
    return moments.uncertainty().double().numpy()


def softmax(raw: Array) -> Array:
    power = np.exp(raw - raw.max(-3, keepdims=True))
    return power / power.sum(-3, keepdims=True)


def unit(raw: Array) -> Array:
    return raw / np.sqrt((raw**2).sum(-3, keepdims=True))


def masked(truth: Array | NDArray[np.int64]) -> tuple[Target, NDArray[np.bool_]]:
    valid = RNG.random((truth.shape[0], 1, *truth.shape[2:])) < 0.7
    return Target(torch.from_numpy(truth), torch.from_numpy(valid)), valid


# --- uncertainties: PartAL appendix A.1
# ------------------------------------------------------------------------------

DTYPES = [(torch.float64, 1e-10), (torch.float32, 2e-4)]


@pytest.mark.parametrize(("dtype", "error"), DTYPES)
def test_class_uncertainty_is_partal_equation_3(dtype: torch.dtype, error: float) -> None:
    samples = softmax(4 * RNG.normal(size=(PASSES, BATCH, 6, HEIGHT, WIDTH)))
    slow = np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        for c in range(6):
            mean = sum(samples[d, b, c, y, x] for d in range(PASSES)) / PASSES
            slow[b, 0, y, x] -= mean * math.log(mean)
    np.testing.assert_allclose(streamed(ClassMoments(), samples, dtype), slow, atol=error)


@pytest.mark.parametrize(("dtype", "error"), DTYPES)
def test_yes_no_uncertainty_is_partal_equation_3_of_two_classes(
    dtype: torch.dtype, error: float
) -> None:
    samples = RNG.random((PASSES, BATCH, 1, HEIGHT, WIDTH)) ** 3
    slow = np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        mean = sum(samples[d, b, 0, y, x] for d in range(PASSES)) / PASSES
        slow[b, 0, y, x] = -mean * math.log(mean) - (1 - mean) * math.log(1 - mean)
    np.testing.assert_allclose(streamed(BinaryMoments(), samples, dtype), slow, atol=error)


def gaussian_entropy(covariance: Array) -> float:
    n = len(covariance)
    return n / 2 * math.log(2 * math.pi) + math.log(np.linalg.det(covariance)) / 2 + n / 2


@pytest.mark.parametrize(("dtype", "error"), DTYPES)
def test_depth_uncertainty_is_partal_equation_4_with_one_dimension(
    dtype: torch.dtype, error: float
) -> None:
    samples = 3 + RNG.normal(size=(PASSES, BATCH, 1, HEIGHT, WIDTH))
    samples[:, 0, 0, 0, 0] = 2.5  # no spread at all: the floor
    slow = np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        here = [float(samples[d, b, 0, y, x]) for d in range(PASSES)]
        mean = sum(here) / PASSES
        variance = sum((value - mean) ** 2 for value in here) / PASSES
        slow[b, 0, y, x] = gaussian_entropy(np.array([[max(variance, 1e-6)]]))
    np.testing.assert_allclose(streamed(GaussianMoments(), samples, dtype), slow, atol=error)


@pytest.mark.parametrize("width", [0.02, 0.01, 0.001])
def test_bins_of_a_gaussian_have_the_differential_entropy_and_a_constant_partal_equations_6_and_7(
    width: float,
) -> None:
    depth = GaussianMoments()
    for metres in (1.9, 2.1):
        depth.update(torch.full((1, 1, 1, 1), metres))
    differential = depth.uncertainty().item()
    masses = np.diff(norm.cdf(np.arange(1, 3, width), loc=2, scale=0.1))
    bins = ClassMoments()
    bins.update(torch.from_numpy(masses).view(1, -1, 1, 1))
    shannon = bins.uncertainty().item()
    assert abs(shannon - (differential + math.log(1 / width))) < 0.005
    assert differential < 0  # in metres
    assert differential + math.log(1000) > math.log(
        40
    )  # in millimetres: above any map of 40 classes


@pytest.mark.parametrize(("dtype", "error"), DTYPES)
def test_normals_uncertainty_is_partal_equation_4_with_the_full_covariance(
    dtype: torch.dtype, error: float
) -> None:
    samples = unit(
        np.array([0.2, -0.3, 1.0]).reshape(3, 1, 1)
        + 0.3 * RNG.normal(size=(PASSES, BATCH, 3, 4, 5))
    )
    slow = np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        here = samples[:, b, :, y, x]
        mean = sum(here) / PASSES
        covariance = sum(np.outer(v - mean, v - mean) for v in here) / PASSES
        slow[b, 0, y, x] = gaussian_entropy(covariance + 1e-6 * np.eye(3))
    np.testing.assert_allclose(streamed(VectorMoments(), samples, dtype), slow, atol=error)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_normals_uncertainty_of_too_few_passes_is_that_of_the_jittered_covariance(
    passes: int,
) -> None:
    samples = unit(RNG.normal(size=(passes, 1, 3, HEIGHT, WIDTH)))
    slow = np.zeros((1, 1, HEIGHT, WIDTH))
    for b, y, x in pixels(1):
        covariance = np.cov(samples[:, b, :, y, x].T, ddof=0) if passes > 1 else np.zeros((3, 3))
        eigenvalues = np.linalg.eigvalsh(covariance).clip(0) + 1e-6
        slow[b, 0, y, x] = np.log(2 * math.pi * math.e * eigenvalues).sum() / 2
    np.testing.assert_allclose(streamed(VectorMoments(), samples, torch.float64), slow, atol=1e-6)
    # In float32 the directions without spread hold rounding of the products, up to some percent of
    # the jitter.
    np.testing.assert_allclose(streamed(VectorMoments(), samples, torch.float32), slow, atol=0.1)


def test_an_images_uncertainty_is_the_mean_over_all_its_pixels() -> None:
    maps = RNG.normal(size=(BATCH, 1, HEIGHT, WIDTH))
    slow = [
        sum(maps[b, 0, y, x] for y in range(HEIGHT) for x in range(WIDTH)) / 20
        for b in range(BATCH)
    ]
    frames = [Frame((HEIGHT, WIDTH), (HEIGHT, WIDTH), (slice(0, HEIGHT), slice(0, WIDTH)))] * BATCH
    np.testing.assert_allclose(content_means(torch.from_numpy(maps), frames), slow)


# --- losses: the survey's
# --------------------------------------------------------------------------------------------


def test_cross_entropy_is_the_negative_log_probability_of_the_true_class() -> None:
    raw, truth = (
        3 * RNG.normal(size=(BATCH, 6, HEIGHT, WIDTH)),
        RNG.integers(6, size=(BATCH, 1, HEIGHT, WIDTH)),
    )
    target, valid = masked(truth)
    slow = np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        total = sum(math.exp(raw[b, c, y, x]) for c in range(6))
        slow[b, 0, y, x] = valid[b, 0, y, x] * -math.log(
            math.exp(raw[b, truth[b, 0, y, x], y, x]) / total
        )
    np.testing.assert_allclose(losses.cross_entropy(torch.from_numpy(raw), target), slow)


def slow_bce(raw: Array, truth: Array, valid: NDArray[np.bool_], positive: list[float]) -> Array:
    slow = np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        probability = 1 / (1 + math.exp(-raw[b, 0, y, x]))
        right = probability if truth[b, 0, y, x] else 1 - probability
        weight = positive[b] if truth[b, 0, y, x] else 1 - positive[b]
        slow[b, 0, y, x] = valid[b, 0, y, x] * weight * -math.log(right)
    return slow


def test_edge_loss_weighs_edges_95_to_5() -> None:
    raw, truth = (
        RNG.normal(size=(BATCH, 1, 4, 5)),
        (RNG.random((BATCH, 1, HEIGHT, WIDTH)) < 0.3).astype(float),
    )
    target, valid = masked(truth)
    slow = slow_bce(raw, truth, valid, [0.95] * BATCH)
    np.testing.assert_allclose(losses.balanced_bce(torch.from_numpy(raw), target), slow)


def test_saliency_loss_weighs_positives_by_the_images_share_of_negatives() -> None:
    raw, truth = (
        RNG.normal(size=(BATCH, 1, 4, 5)),
        (RNG.random((BATCH, 1, HEIGHT, WIDTH)) < 0.3).astype(float),
    )
    target, valid = masked(truth)
    share = [float(1 - truth[b][valid[b]].mean()) for b in range(BATCH)]
    slow = slow_bce(raw, truth, valid, share)
    np.testing.assert_allclose(
        losses.area_balanced_bce(torch.from_numpy(raw), target), slow, rtol=1e-6
    )


def test_depth_loss_is_the_absolute_error() -> None:
    raw, truth = (
        RNG.normal(size=(BATCH, 1, HEIGHT, WIDTH)),
        RNG.normal(size=(BATCH, 1, HEIGHT, WIDTH)),
    )
    target, valid = masked(truth)
    np.testing.assert_allclose(
        losses.absolute_error(torch.from_numpy(raw), target), valid * abs(raw - truth)
    )


def test_normals_loss_is_the_mean_over_components_of_the_distance_to_the_unit_vector() -> None:
    raw, truth = (
        RNG.normal(size=(BATCH, 3, HEIGHT, WIDTH)),
        unit(RNG.normal(size=(BATCH, 3, HEIGHT, WIDTH))),
    )
    target, valid = masked(truth)
    l1, cosine = np.zeros((BATCH, 1, HEIGHT, WIDTH)), np.zeros((BATCH, 1, HEIGHT, WIDTH))
    for b, y, x in pixels():
        found = raw[b, :, y, x] / math.sqrt(sum(raw[b, c, y, x] ** 2 for c in range(3)))
        error = sum(abs(found[c] - truth[b, c, y, x]) for c in range(3)) / 3
        l1[b, 0, y, x] = valid[b, 0, y, x] * error
        cosine[b, 0, y, x] = valid[b, 0, y, x] * (
            1 - sum(found[c] * truth[b, c, y, x] for c in range(3))
        )
    np.testing.assert_allclose(losses.unit_vector_l1(torch.from_numpy(raw), target), l1)
    np.testing.assert_allclose(losses.unit_vector_cosine(torch.from_numpy(raw), target), cosine)


@pytest.mark.parametrize(
    ("loss", "channels"),
    [
        (losses.cross_entropy, 4),
        (losses.balanced_bce, 1),
        (losses.area_balanced_bce, 1),
        (losses.absolute_error, 1),
        (losses.unit_vector_l1, 3),
        (losses.unit_vector_cosine, 3),
    ],
)
def test_gradients_are_those_of_the_losses(
    loss: Callable[[Tensor, Target], Tensor], channels: int
) -> None:
    raw = torch.from_numpy(RNG.normal(size=(2, channels, 2, 3))).requires_grad_()
    values = (
        RNG.integers(channels, size=(2, 1, 2, 3))
        if channels == 4
        else RNG.random((2, channels, 2, 3))
    )
    target, _ = masked(values)
    assert torch.autograd.gradcheck(lambda raw: loss(raw, target), (raw,))


# --- disagreements
# ---------------------------------------------------------------------------------------------------


def test_disagreements_are_divergences_and_distances() -> None:
    a, b = softmax(RNG.normal(size=(1, 5, 4, 5))), softmax(RNG.normal(size=(1, 5, 4, 5)))
    v, w = unit(RNG.normal(size=(1, 3, 4, 5))), unit(RNG.normal(size=(1, 3, 4, 5)))
    classes, binary, depth, angle = np.zeros((4, 1, 1, HEIGHT, WIDTH))
    for _, y, x in pixels(1):
        p, q = a[0, :, y, x], b[0, :, y, x]
        classes[0, 0, y, x] = sum(q[c] * math.log(q[c] / p[c]) for c in range(5))
        binary[0, 0, y, x] = q[0] * math.log(q[0] / p[0]) + (1 - q[0]) * math.log(
            (1 - q[0]) / (1 - p[0])
        )
        depth[0, 0, y, x] = abs(q[0] - p[0])
        angle[0, 0, y, x] = 1 - sum(v[0, c, y, x] * w[0, c, y, x] for c in range(3))
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    two = [np.concatenate([x[:, :1], 1 - x[:, :1]], 1) for x in (a, b)]
    for measure, (p, q) in ((disagreement.class_js, (a, b)), (disagreement.binary_js, two)):
        found = measure(first, second) if p is a else measure(first[:, :1], second[:, :1])
        np.testing.assert_allclose(found[:, 0], jensenshannon(p, q, axis=1) ** 2, atol=1e-12)
    np.testing.assert_allclose(disagreement.class_divergence(first, second), classes, atol=1e-12)
    np.testing.assert_allclose(
        disagreement.binary_divergence(first[:, :1], second[:, :1]), binary, atol=1e-12
    )
    np.testing.assert_allclose(
        disagreement.absolute_difference(first[:, :1], second[:, :1]), depth, atol=1e-12
    )
    np.testing.assert_allclose(
        disagreement.cosine_distance(torch.from_numpy(v), torch.from_numpy(w)), angle, atol=1e-12
    )


# --- metrics: the survey's
# -------------------------------------------------------------------------------------------


def figures(metric: metrics.Metric, found: Array, target: Target) -> dict[str, float]:
    for image in range(len(found)):
        part = slice(image, image + 1)
        metric.update(
            torch.from_numpy(found[part]).float(), Target(target.value[part], target.valid[part])
        )
        metric.end_image()
    return {name: result.value for name, result in metric.compute().items()}


def test_miou_is_that_of_the_confusion_matrix_summed_over_the_set() -> None:
    found, truth = RNG.random((5, 4, HEIGHT, WIDTH)), RNG.integers(3, size=(5, 1, HEIGHT, WIDTH))
    found[:, 3] = 0  # class 3 is in neither
    target, valid = masked(truth)
    hits, either, right, total = [0] * 4, [0] * 4, 0, 0
    for b, y, x in pixels(5):
        if valid[b, 0, y, x]:
            guess, true = int(found[b, :, y, x].argmax()), int(truth[b, 0, y, x])
            total, right = total + 1, right + (guess == true)
            for c in range(4):
                hits[c] += guess == c and true == c
                either[c] += guess == c or true == c
    values = figures(metrics.SegmentationMetric(4), found, target)
    assert values["mIoU"] == pytest.approx(
        100 * sum(hits[c] / either[c] for c in range(3)) / 3, abs=1e-9
    )
    assert values["pixAcc"] == pytest.approx(100 * right / total, abs=1e-9)
    counted_zero = figures(metrics.SegmentationMetric(4, absent="zero"), found, target)
    assert counted_zero["mIoU"] == pytest.approx(values["mIoU"] * 3 / 4, abs=1e-9)


def test_depth_figures_are_over_the_pixels_of_the_set() -> None:
    found, truth = (
        RNG.normal(1, 2, size=(5, 1, HEIGHT, WIDTH)),
        5 * RNG.random((5, 1, HEIGHT, WIDTH)),
    )
    target, valid = masked(truth)
    errors = [
        max(float(np.float32(found[b, 0, y, x])), 1e-9) - truth[b, 0, y, x]
        for b, y, x in pixels(5)
        if valid[b, 0, y, x]
    ]
    values = figures(metrics.DepthMetric(), found, target)
    assert values["RMSE"] == pytest.approx(
        math.sqrt(sum(e * e for e in errors) / len(errors)), rel=1e-12
    )
    assert values["absErr"] == pytest.approx(sum(abs(e) for e in errors) / len(errors), rel=1e-12)


def test_normals_figures_are_mean_angle_and_shares_below_limits() -> None:
    truth = unit(RNG.normal(size=(5, 3, HEIGHT, WIDTH)))
    found = unit(truth + 0.3 * RNG.normal(size=truth.shape))
    target, valid = masked(truth)
    angles = [
        math.degrees(math.acos(min(1.0, max(-1.0, float(found[b, :, y, x] @ truth[b, :, y, x])))))
        for b, y, x in pixels(5)
        if valid[b, 0, y, x]
    ]
    values = figures(metrics.NormalsMetric(), found, target)
    assert values["mErr"] == pytest.approx(sum(angles) / len(angles), abs=1e-4)
    for limit in (11.25, 22.5, 30):
        assert values[f"below {limit:g}"] == pytest.approx(
            100 * sum(a < limit for a in angles) / len(angles)
        )


def slow_saliency(found: Array, truth: Array, valid: NDArray[np.bool_]) -> tuple[float, float]:
    best_iou, best_f = 0.0, 0.0
    for threshold in np.linspace(0.2, 0.9, 15):
        iou, precision, recall = [], [], []
        for b in range(len(found)):
            guess = [found[b, 0, y, x] > threshold for _, y, x in pixels(1) if valid[b, 0, y, x]]
            is_true = [truth[b, 0, y, x] > 0 for _, y, x in pixels(1) if valid[b, 0, y, x]]
            hits = sum(g and t for g, t in zip(guess, is_true, strict=True))
            guessed, true = sum(guess), sum(is_true)
            iou.append(hits / (guessed + true - hits) if guessed + true else 1.0)
            precision.append(hits / guessed if guessed else 0.0)
            recall.append(hits / true if true else 0.0)
        p, r = sum(precision) / len(found), sum(recall) / len(found)
        best_iou = max(best_iou, sum(iou) / len(found))
        best_f = max(best_f, 2 * p * r / (p + r) if p + r else 0.0)
    return 100 * best_iou, 100 * best_f


@pytest.mark.parametrize("eight_bit", [False, True])
def test_saliency_figures_are_the_surveys(eight_bit: bool) -> None:
    found = RNG.random((6, 1, HEIGHT, WIDTH)).astype(np.float32).astype(np.float64)
    truth = (RNG.random((6, 1, HEIGHT, WIDTH)) < 0.4).astype(float)
    found[0], truth[0] = 0.1, 0  # nothing to find, nothing found
    found[1], truth[1] = 0.1, 1
    found[2] = RNG.choice(
        np.array([51, 102, 153, 204], np.float32) / 255 + np.float32(1e-3), size=found[2].shape
    )
    target, valid = masked(truth)
    shown = np.floor(found * 255) / 255 if eight_bit else found
    values = figures(metrics.SaliencyMetric(eight_bit), found, target)
    assert (values["IoU"], values["maxF"]) == pytest.approx(
        slow_saliency(shown, truth, valid), abs=1e-9
    )


def test_average_precision_is_exact_when_every_probability_has_its_own_step() -> None:
    steps = RNG.permutation(16_384)[: 5 * HEIGHT * WIDTH].reshape(5, 1, HEIGHT, WIDTH)
    found = 1 / (1 + np.exp(17 * (1 - 2 * (steps + 0.5) / 16_384)))
    truth = (RNG.random((5, 1, HEIGHT, WIDTH)) < 0.3).astype(float)
    target, valid = masked(truth)
    ranked = sorted(
        ((found[b, 0, y, x], truth[b, 0, y, x]) for b, y, x in pixels(5) if valid[b, 0, y, x]),
        reverse=True,
    )
    hits, total = 0.0, 0.0
    for place, (_, true) in enumerate(ranked, 1):
        hits += true
        total += true * hits / place
    assert figures(metrics.EdgeMetric(), found, target)["AP"] == pytest.approx(
        100 * total / hits, abs=1e-9
    )
