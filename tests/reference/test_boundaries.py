"""Thinning, matching and the figures of boundaries beside slow versions, pixel by pixel and pair by pair."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from labelgrid.pixel.boundaries import THRESHOLDS, Matcher, boundary_counts, suppress_non_maxima
from labelgrid.pixel.boundary_metric import BoundaryMetric
from labelgrid.pixel.target import Target
from labelgrid.pixel.thinning import thin

RNG = np.random.default_rng(5)
Mask = NDArray[np.bool_]


def slow_thin(mask: Mask) -> Mask:
    """Both passes over all pixels, by the conditions G1 to G3 of Lam, Lee and Suen, until nothing changes."""
    around = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]  # x1 to x8
    mask = np.pad(mask, 1)
    while True:
        before = mask.copy()
        for turn in (0, 4):
            seen = mask.copy()
            for r, c in zip(*seen.nonzero(), strict=True):
                x = [bool(seen[r + dr, c + dc]) for dr, dc in around]
                x = [*x[turn:], *x[:turn]]
                at = lambda i, x=x: x[(i - 1) % 8]  # noqa: E731
                runs = sum(not at(2 * i - 1) and (at(2 * i) or at(2 * i + 1)) for i in (1, 2, 3, 4))
                n1 = sum(at(2 * k - 1) or at(2 * k) for k in (1, 2, 3, 4))
                n2 = sum(at(2 * k) or at(2 * k + 1) for k in (1, 2, 3, 4))
                side = (at(2) or at(3) or not at(8)) and at(1)
                if runs == 1 and 2 <= min(n1, n2) <= 3 and not side:
                    mask[r, c] = False
        if (mask == before).all():
            return mask[1:-1, 1:-1]


def slow_pairs(points: list[tuple[int, int]], truths: list[tuple[int, int]], radius: float) -> int:
    """The most pairs, by augmenting paths from one point at a time."""
    taken: dict[int, int] = {}

    def find(point: int, tried: set[int]) -> bool:
        for number, (r, c) in enumerate(truths):
            near = (points[point][0] - r) ** 2 + (points[point][1] - c) ** 2 <= radius**2
            if near and number not in tried:
                tried.add(number)
                if number not in taken or find(taken[number], tried):
                    taken[number] = point
                    return True
        return False

    return sum(find(point, set()) for point in range(len(points)))


def blobs(shape: tuple[int, int], level: float) -> Mask:
    """Random spots, lines and filled regions."""
    noise = np.pad(RNG.random(shape), 1, mode="edge")
    smooth = (
        sum(np.roll(noise, (r, c), (0, 1)) for r in (-1, 0, 1) for c in (-1, 0, 1))[1:-1, 1:-1] / 9
    )
    return smooth >= np.quantile(smooth, level)


def points_of(mask: Mask) -> list[tuple[int, int]]:
    return [(int(r), int(c)) for r, c in np.argwhere(mask)]


@pytest.mark.parametrize("count", [1, 64, 70])
def test_thinning_of_many_maps_is_that_of_each_pixel_by_pixel(count: int) -> None:
    masks = np.stack([blobs((11, 14), level) for level in np.linspace(0, 1, count)])
    wanted = np.stack([slow_thin(mask) for mask in masks])
    assert np.array_equal(thin(masks), wanted)
    assert wanted.any() and (wanted.sum((1, 2)) < masks.sum((1, 2))).any()


@pytest.mark.parametrize("radius", [0.0, 0.9, 1.0, 1.5, 2.3])
def test_pairs_are_as_many_as_there_can_be(radius: float) -> None:
    for _ in range(20):
        truth, found = RNG.random((2, 9, 8)) < RNG.uniform(0.05, 0.5, (2, 1, 1))
        matched = Matcher(truth, radius).have_partners(np.argwhere(found))
        assert matched.sum() == slow_pairs(points_of(found), points_of(truth), radius)
        alone = [slow_pairs([point], points_of(truth), radius) for point in points_of(found)]
        assert not (
            matched & (np.array(alone) == 0)
        ).any()  # a point with nothing near it has no partner


def mirrored(place: int, length: int) -> int:
    """The place in an image whose edge pixels are repeated and mirrored."""
    while not 0 <= place < length:
        place = -1 - place if place < 0 else 2 * length - 1 - place
    return place


def slow_slope(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Half the difference of the neighbours; at an edge the difference to the one neighbour."""
    rows = np.moveaxis(values, axis, 0)
    slope = np.zeros_like(rows)
    last = len(rows) - 1
    for place in range(len(rows)):
        before, after = max(place - 1, 0), min(place + 1, last)
        if after > before:
            slope[place] = (rows[after] - rows[before]) / (after - before)
    return np.moveaxis(slope, 0, axis)


def slow_value(soft: NDArray[np.float64], y: float, x: float) -> float:
    """The value between four pixels, and outside of the image that of its edge."""
    y = min(max(y, 0.0), soft.shape[0] - 1)
    x = min(max(x, 0.0), soft.shape[1] - 1)
    top, left = int(y), int(x)
    below, beside = min(top + 1, soft.shape[0] - 1), min(left + 1, soft.shape[1] - 1)
    upper = soft[top, left] * (1 - x + left) + soft[top, beside] * (x - left)
    lower = soft[below, left] * (1 - x + left) + soft[below, beside] * (x - left)
    return float(upper * (1 - y + top) + lower * (y - top))


def slow_suppress(soft: NDArray[np.float64]) -> NDArray[np.float64]:
    """The published `edgesNms` with radius 1, border 5 and multiplier 1.01, pixel by pixel."""
    height, width = soft.shape
    smooth = np.zeros_like(soft)
    for y, x in np.ndindex(height, width):
        for down, right in np.ndindex(9, 9):
            weight = (5 - abs(down - 4)) * (5 - abs(right - 4)) / 625
            value = soft[mirrored(y + down - 4, height), mirrored(x + right - 4, width)]
            smooth[y, x] += weight * value
    to_right = slow_slope(smooth, 1)
    xx, xy = slow_slope(to_right, 1), slow_slope(to_right, 0)
    yy = slow_slope(slow_slope(smooth, 0), 0)
    kept = soft.copy()
    border = min(5, height // 2, width // 2)
    for y, x in np.ndindex(height, width):
        sign = -1 if xy[y, x] > 0 else 1
        angle = np.arctan(yy[y, x] * sign / (xx[y, x] + 1e-5)) % np.pi
        down, right = np.sin(angle), np.cos(angle)
        across = [slow_value(soft, y + down, x + right), slow_value(soft, y - down, x - right)]
        if soft[y, x] * 1.01 < max(across):
            kept[y, x] = 0
        for place in (y, x, height - 1 - y, width - 1 - x):
            if place < border:
                kept[y, x] *= place / border
    return kept


def slow_figures(
    images: list[tuple[NDArray[np.float64], Mask]], distance: float, nms: bool
) -> tuple[float, float]:
    """odsF and oisF in percent, one threshold at a time."""
    sums, best = np.zeros((len(THRESHOLDS), 4)), np.zeros(4)

    def f(counts: NDArray[np.float64]) -> float:
        recall, precision = counts[0] / max(counts[1], 1), counts[2] / max(counts[3], 1)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    for soft, truth in images:
        radius, lines = (
            distance * np.sqrt(soft.shape[0] ** 2 + soft.shape[1] ** 2),
            points_of(slow_thin(truth)),
        )
        rows = []
        for level in THRESHOLDS:
            points = points_of(slow_thin(slow_suppress(soft) > level if nms else soft >= level))
            pairs = slow_pairs(points, lines, radius)
            rows.append([pairs, len(lines), pairs, len(points)])
        sums += rows
        best += max(np.array(rows, float), key=f)
    return 100 * max(map(f, sums)), 100 * f(best)


@pytest.mark.parametrize("nms", [False, True])
def test_ods_and_ois_are_the_slow_ones(nms: bool) -> None:
    images = []
    for level in (0.7, 0.85):
        truth = blobs((12, 16), level)
        soft = (
            np.clip(0.3 * truth + 0.7 * RNG.random(truth.shape), 0, 1).round(2).astype(np.float32)
        )
        images.append((soft.astype(np.float64), truth))
    metric = BoundaryMetric(distance=0.05, nms=nms)
    for soft, truth in images:
        seen = torch.from_numpy(truth)[None, None]
        metric.update(
            torch.from_numpy(soft)[None, None], Target(seen.float(), torch.ones_like(seen))
        )
        metric.end_image()
    found = metric.compute()
    assert (found["odsF"].value, found["oisF"].value) == pytest.approx(
        slow_figures(images, 0.05, nms)
    )
    assert 20 < found["odsF"].value < found["oisF"].value < 100


def test_several_annotators_share_the_predicted_pixels_and_each_counts_its_own() -> None:
    left, right = np.zeros((2, 20, 20), np.bool_)
    left[:, 4] = right[:, 15] = True
    both = boundary_counts((left | right) * 0.5, [left, right], distance=0.05)
    assert both[:, 40].tolist() == [40, 40, 40, 40]
    one = boundary_counts(left * 0.5, [left, right], distance=0.05)
    assert one[:, 40].tolist() == [20, 40, 20, 20]
    assert boundary_counts(left * 0.5, [left, left], distance=0.05)[:, 40].tolist() == [
        40,
        40,
        20,
        20,
    ]


@pytest.mark.parametrize("size", [(26, 34), (9, 21), (4, 30), (1, 7), (2, 3)])
def test_suppression_is_that_of_each_pixel(size: tuple[int, int]) -> None:
    soft = RNG.random(size)
    soft[size[0] // 2] += 1
    soft[:, size[1] // 3] += 0.5
    found = suppress_non_maxima(soft)
    np.testing.assert_allclose(found, slow_suppress(soft), rtol=0, atol=1e-12)
    assert size[1] < 10 or 0.1 < (found > 0).mean() < 0.9


def test_suppression_keeps_the_crest_of_a_ridge_and_lowers_the_edge() -> None:
    y, x = np.mgrid[:40, :50].astype(float)
    for along, crest in (
        ((x - 25), x == 25),
        ((y - 20), y == 20),
        ((x - y - 5) / np.sqrt(2), x - y == 5),
    ):
        soft = np.exp(-(along**2) / 8)
        kept = suppress_non_maxima(soft)
        inside = (slice(8, -8), slice(8, -8))
        assert np.array_equal(kept[inside] > 0.5, crest[inside])
        np.testing.assert_allclose(kept[inside][crest[inside]], soft[inside][crest[inside]])
    flat = suppress_non_maxima(np.ones((40, 50)))
    np.testing.assert_allclose(flat[20, :7], [0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    np.testing.assert_allclose(flat[-7:, 25], [1, 1, 0.8, 0.6, 0.4, 0.2, 0])
