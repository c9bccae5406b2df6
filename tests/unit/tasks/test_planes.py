"""Planes tell depth along the axis from disparities and from distances along rays."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.tasks.checks import MANY
from labelgrid.tasks.planes import Sums, _averaged, judge_planes, plane_factors, plane_sums

DEPTH = SimpleNamespace(disparity=False)
DISPARITY = SimpleNamespace(disparity=True)
Depth = NDArray[np.float64]


def corner(number: int, *, view: float = 66.0, size: tuple[int, int] = (120, 160)) -> Depth:
    """The depth [h, w] of three planes that meet, seen under an angle, in steps of 1 cm."""
    rng = np.random.default_rng(number)
    rows, columns = np.indices(size)
    focal = size[1] / 2 / np.tan(np.radians(view / 2))
    x = (columns - (size[1] - 1) / 2) / focal
    y = (rows - (size[0] - 1) / 2) / focal
    inverse = np.maximum(0.4 * y, 0) + 0.2
    for side in (-1, 1):
        inverse = np.maximum(inverse, rng.uniform(0.25, 0.5) * side * x)
    return np.asarray(np.round(1 / inverse, 2))


def along_rays(depth: Depth, view: float = 66.0) -> Depth:
    height, width = depth.shape
    rows, columns = np.indices(depth.shape)
    focal = width / 2 / np.tan(np.radians(view / 2))
    squares = ((columns - (width - 1) / 2) / focal) ** 2 + ((rows - (height - 1) / 2) / focal) ** 2
    return np.asarray(depth * np.sqrt(1 + squares))


def sums(depth: Depth) -> Sums | None:
    return plane_sums(depth[..., None], depth > 0, DEPTH)


def of_many(change: object = None, count: int = MANY) -> list[Sums | None]:
    return [sums(change(corner(n)) if callable(change) else corner(n)) for n in range(count)]


def test_depth_along_the_axis_is_no_doubt() -> None:
    assert judge_planes(of_many(), DEPTH) == ""


def test_a_disparity_is_told_from_depth_whatever_its_scale() -> None:
    for scale in (0.01, 1.0, 300.0):
        found = of_many(lambda depth, scale=scale: scale / depth)
        assert "declare `disparity = true`" in judge_planes(found, DEPTH)
        assert judge_planes(found, DISPARITY) == ""


def test_depth_is_told_from_a_declared_disparity() -> None:
    assert "declare `disparity = false`" in judge_planes(of_many(), DISPARITY)


def test_distances_along_rays_are_told_from_depth() -> None:
    assert "along the rays" in judge_planes(of_many(along_rays), DEPTH)


@pytest.mark.parametrize("view", [40.0, 55.0, 80.0, 100.0])
def test_depth_of_another_view_is_no_doubt(view: float) -> None:
    labels = [sums(corner(number, view=view)) for number in range(MANY)]
    assert judge_planes(labels, DEPTH) == ""


def test_few_labels_without_planes_or_pixels_say_nothing() -> None:
    assert judge_planes(of_many(along_rays, count=MANY - 1), DEPTH) == ""
    rng = np.random.default_rng(0)
    rough = [sums(rng.uniform(1, 5, (120, 160))) for _ in range(20)]
    assert plane_factors(rough) is None
    sparse = corner(0) * (rng.random((120, 160)) < 0.05)
    assert sums(sparse) is None
    assert sums(corner(0)[:10, :10]) is None


@pytest.mark.parametrize("size", [(160, 120), (330, 200), (401, 640)])
def test_averages_are_of_squares_and_known_where_all_of_a_square_is(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    value = rng.random(size, np.float32)
    valid = rng.random(size) < 0.9
    step = -(-max(size) // 160)
    means, known = _averaged(value, valid)
    assert means.shape == known.shape == (size[0] // step, size[1] // step)
    for row, column in rng.integers(0, means.shape, (50, 2)):
        here = (slice(row * step, (row + 1) * step), slice(column * step, (column + 1) * step))
        assert np.isclose(means[row, column], value[here].mean(dtype=np.float64), rtol=1e-12)
        assert known[row, column] == valid[here].all()
