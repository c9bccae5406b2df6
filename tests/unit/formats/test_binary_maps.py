"""Laws of maps of yes and no: the kinds of files, and the threshold of those with other numbers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.formats.codec import LabelArray, options_of
from labelgrid.formats.codecs import binary
from tests.unit.formats.label_files import npy, png, refused

COVERS = ["labelgrid.formats.codecs.binary"]
YES = np.random.default_rng(0).random((6, 9)) < 0.4
GREY = YES.astype(np.uint8) * np.uint8(255)


def options(**values: object) -> binary.Options:
    """Options as a file of tasks gives them."""
    made: binary.Options = options_of("binary", values, "task 'saliency'")
    return made


def is_yes(path: Path, **values: object) -> bool:
    """Whether a file is read as `YES`."""
    label = binary.read(path, options(**values))
    assert label.valid.all() and label.value.dtype == np.float32
    return bool((label.value[..., 0] == YES).all())


def test_any_kind_of_file_with_0_and_255_is_the_same_map(tmp_path: Path) -> None:
    for extension in (".png", ".tif", ".tiff", ".bmp"):
        for mode in ("1", "L", "RGB"):
            path = tmp_path / f"{mode}{extension}"
            Image.fromarray(GREY).convert(mode).save(path)
            assert is_yes(path), path.name
    for mode in ("LA", "RGBA"):
        Image.fromarray(GREY).convert(mode).save(tmp_path / f"{mode}.png")
        assert is_yes(tmp_path / f"{mode}.png")
    assert is_yes(npy(tmp_path / "a.npy", GREY)) and is_yes(npy(tmp_path / "b.npy", YES))
    assert is_yes(npy(tmp_path / "a.npy", YES.astype(np.uint8)), one_is_positive=True)


@pytest.mark.parametrize(
    ("stored", "threshold"),
    [
        (np.where(YES, 128, 127).astype(np.uint8), 128),
        (np.where(YES, 40000, 300).astype(np.uint16), 32768),
        (np.where(YES, 0.5, 0.49), 0.5),
        (np.where(YES, 3, -1).astype(np.int32), 1),
        (YES, 128),
    ],
)
def test_yes_is_every_number_of_at_least_the_threshold(
    tmp_path: Path, stored: np.ndarray, threshold: float
) -> None:
    assert is_yes(npy(tmp_path / "a.npy", stored), threshold=threshold)


def test_a_soft_map_is_refused_with_a_threshold_that_cures_it(tmp_path: Path) -> None:
    soft = Image.fromarray(GREY).resize((90, 60)).filter(ImageFilter.GaussianBlur(1.2))
    soft.save(tmp_path / "a.png")
    numbers = np.asarray(soft)
    paths = {tmp_path / "a.png": 128.0}
    paths[png(tmp_path / "wide.png", numbers.astype(np.uint16) * 257)] = 32768
    paths[npy(tmp_path / "a.npy", numbers / 255)] = 0.5
    for path, threshold in paths.items():
        with pytest.raises(LabelError) as caught:
            binary.read(path, options())
        assert f"`threshold = {threshold:g}`" in caught.value.next_step
        label = binary.read(path, options(**caught.value.declare))
        assert (label.value[..., 0] == (numbers >= 128)).all()


def test_numbers_of_another_scale_than_the_threshold_are_refused(tmp_path: Path) -> None:
    for array in (YES.astype(np.uint8), YES.astype(np.float32)):
        path = npy(tmp_path / "a.npy", array)
        refused(binary.read, path, options(threshold=128), "largest value", "begins at 128")
        assert is_yes(path, threshold=0.5)
    assert not binary.read(npy(path, np.zeros((2, 2))), options(threshold=128)).value.any()


def test_nan_is_neither_yes_nor_no(tmp_path: Path) -> None:
    path = npy(tmp_path / "a.npy", np.where(YES, 1.0, np.nan))
    refused(binary.read, path, options(threshold=0.5), "are NaN")


@pytest.mark.parametrize("threshold", [0, -1, 65536])
def test_a_threshold_that_no_file_can_reach_is_refused(threshold: float) -> None:
    with pytest.raises(RecipeError, match="threshold must be above 0 and at most 65535"):
        options(threshold=threshold)


@pytest.mark.parametrize("threshold", [0.5, 128, 255, 256, 65535])
def test_a_map_is_written_so_that_its_threshold_reads_it(tmp_path: Path, threshold: float) -> None:
    label = LabelArray(YES.astype(np.float32)[..., None], np.ones(YES.shape, np.bool_))
    binary.write(tmp_path / "a.png", label, options(threshold=threshold))
    assert is_yes(tmp_path / "a.png", threshold=threshold)
    assert f"{threshold:g} and more is yes" in binary.describe(options(threshold=threshold))
