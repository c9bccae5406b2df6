"""Laws of superpixels: they end where the image changes, and are the same each time."""

import sys

import numpy as np
import pytest
from skimage.segmentation import slic

from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.regions.maker import ImageToDivide, build_maker, divide
from labelgrid.regions.makers.superpixels import PIXELS, reduced


def divided(pixels: np.ndarray, **options):
    size = pixels.shape[:2]
    image = ImageToDivide(image_id="a.jpg", size=size, read=lambda: pixels)
    return divide(build_maker("superpixels", options), image)


def two_halves() -> np.ndarray:
    pixels = np.full((120, 160, 3), 40, np.uint8)
    pixels[:, 71:] = (200, 60, 60)
    return pixels


def test_no_region_is_on_both_sides_of_an_edge():
    ids = divided(two_halves(), count=12).ids
    assert not set(ids[:, :71].flat) & set(ids[:, 71:].flat)


def test_a_small_image_is_divided_as_by_scikit_image_alone():
    pixels = two_halves()
    straight = slic(pixels, n_segments=12, compactness=20.0, start_label=1)
    ids = divided(pixels, count=12).ids
    pairs = np.unique(np.stack([ids.ravel(), straight.ravel()]), axis=1)
    assert pairs.shape[1] == ids.max() == straight.max()


def test_a_large_image_has_the_regions_of_a_small_one():
    small = divided(two_halves(), count=12)
    large = divided(two_halves().repeat(4, 0).repeat(4, 1), count=12)
    ids = large.ids[::4, ::4]
    assert (ids[:, :70] != 0).all() and abs(large.count - small.count) <= 4
    assert not set(ids[:, :70].flat) & set(ids[:, 72:].flat)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (1, 90_000, 3), (2, 3, 3), (37, 53), (37, 53, 1)]
)
def test_any_size_and_grey_images_are_divided(shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    partition = divided(pixels)
    assert partition.size == shape[:2] and partition.count >= 1
    assert partition.areas.sum() == shape[0] * shape[1]
    assert partition.digest == divided(pixels).digest


@pytest.mark.parametrize("size", [(1, 10**7), (10**7, 1), (200, 200), (201, 200), (7, 90_001)])
def test_no_more_pixels_are_seen_than_the_limit(size):
    height, width = reduced(size)
    assert 1 <= height <= size[0] and 1 <= width <= size[1]
    assert height * width <= PIXELS
    assert height * width > 0.4 * min(PIXELS, size[0] * size[1])


@pytest.mark.parametrize("options", [{"count": 100}, {"compactness": 1.0}])
def test_every_option_changes_the_regions(options):
    pixels = (
        np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    )
    assert divided(pixels, **options).digest != divided(pixels).digest


@pytest.mark.parametrize("options", [{"count": 0}, {"compactness": 0.0}, {"sigma": 1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(RecipeError):
        build_maker("superpixels", options)


def test_without_scikit_image_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr("labelgrid.basics.files.find_spec", lambda name: None)
    with pytest.raises(ProjectError, match=r"pip install 'labelgrid\[regions\]'"):
        build_maker("superpixels", {})


def test_the_version_is_that_of_the_library():
    assert (
        build_maker("superpixels", {}).version
        == f"1, scikit-image {sys.modules['skimage'].__version__}"
    )
