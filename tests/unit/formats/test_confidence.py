"""How sure a supplier is: shares in files of 1, 8 or 16 bits, or of floating point."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.formats.confidence import (
    as_bytes,
    confidence_of,
    grades_confidence,
    read_confidence,
    read_grades,
)

SHARES = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)


def stored(folder: Path, dtype: type[np.generic]) -> Path:
    if dtype is np.float32:
        np.save(folder / "a.npy", SHARES)
        return folder / "a.npy"
    cv2.imwrite(str(folder / "a.png"), np.rint(SHARES * np.iinfo(dtype).max).astype(dtype))
    return folder / "a.png"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_share_is_read_in_any_type(tmp_path: Path, dtype: type[np.generic]) -> None:
    path = stored(tmp_path, dtype)
    confidence = read_confidence(path, (4, 6))
    np.testing.assert_allclose(confidence, SHARES, atol=0.002)
    np.testing.assert_array_equal(read_grades(path).value[..., 0], confidence >= 0.5)
    np.testing.assert_allclose(grades_confidence(path, (4, 6)), np.abs(2 * confidence - 1))
    np.testing.assert_allclose(as_bytes(SHARES) / 255, SHARES, atol=0.002)


@pytest.mark.parametrize("values", [SHARES - 0.5, SHARES * 255, np.int32([[3]]), SHARES * np.nan])
def test_other_numbers_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(LabelError, match="from 0 to 1"):
        read_grades(tmp_path / "a.npy")


def test_whole_numbers_of_0_and_1_are_small_shares_or_refused_as_a_mask(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.uint8([[0, 1], [1, 0]]))
    assert read_confidence(tmp_path / "a.png", (2, 2)).max() == np.float32(1 / 255)
    for read in (read_confidence, grades_confidence):
        with pytest.raises(LabelError, match="holds only 0 and 1, of 255"):
            read(tmp_path / "a.png", (2, 2), no_mask=True)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 2), np.uint8))
    assert not read_confidence(tmp_path / "a.png", (2, 2), no_mask=True).any()


def test_a_folder_of_images_may_be_named_as_the_task(tmp_path: Path) -> None:
    for name in ("depth/depth/0.png", "depth.confidence/depth/0.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert confidence_of(tmp_path / "depth/depth/0.png", "depth") == path  # the last one


def test_the_confidence_lies_beside_the_folder_of_the_task(tmp_path: Path) -> None:
    for name in ("given/depth/room/0.exr", "given/depth.confidence/room/0.npy", "depth/0.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = confidence_of(tmp_path / "given/depth/room/0.exr", "depth")
    assert found == tmp_path / "given/depth.confidence/room/0.npy"
    assert confidence_of(tmp_path / "depth/0.png", "depth") is None
    assert confidence_of(tmp_path / "given/depth/room/0.exr", "semseg") is None
