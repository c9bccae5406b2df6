from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import ImageError
from labelgrid.images.thumbnails import HEIGHT, WIDTH, read_thumbnail, thumbnail_of


def test_a_thumbnail_holds_the_mean_grey_of_each_part_of_an_image() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    larger = np.kron(grey, np.ones((4, 3), np.uint8))
    image = Image.fromarray(np.repeat(larger[..., None], 3, axis=2))
    assert np.abs(thumbnail_of(image).astype(int) - grey).max() <= 1


def test_the_thumbnail_of_a_file_is_that_of_its_upright_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels).save(tmp_path / "turned.tiff", exif=exif)
    upright = Image.fromarray(pixels[::-1, ::-1])
    assert (read_thumbnail(tmp_path / "turned.tiff") == thumbnail_of(upright)).all()


def test_a_file_that_is_no_image_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError):
        read_thumbnail(tmp_path / "a.png")
