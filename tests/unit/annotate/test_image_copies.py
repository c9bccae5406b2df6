"""Copies of images: their names, and what is written under them."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.annotate.image_copies import copy_content, copy_image, copy_names, is_shown_as_read
from labelgrid.annotate.image_names import ImageNames
from labelgrid.basics.errors import ImageError
from labelgrid.images.reading import read_image
from tests.support import make_dataset


def test_a_copys_name_is_no_images_and_leads_back_to_its_own() -> None:
    image_ids = {"a/b.heic", "a/b.jpg", "a/b.heic.jpg", "c.tif", "c.tiff", f"{'x' * 250}.tif"}
    names = copy_names(sorted(image_ids), image_ids)
    assert names["a/b.heic"] == "a/b.heic.png"
    assert not image_ids & {*names.values()} and len({*names.values()}) == len(image_ids)
    for image_id, name in names.items():
        assert image_id in ImageNames(image_ids).find(name), (image_id, name)
    for image_id in ("a/b.jpg", "c.tif", "c.tiff"):
        assert ImageNames(image_ids).find(names[image_id]) == [image_id]


def test_where_no_name_is_left_it_is_said() -> None:
    image_ids = {"b.tif", "b.tif.jpg", "b.tif.png", "b.jpg"}
    with pytest.raises(ImageError, match="No name is left"):
        copy_names(["b.tif"], image_ids)


def test_an_up_to_date_copy_is_kept_and_another_is_made_anew(tmp_path: Path) -> None:
    made = make_dataset(tmp_path, n=2, tasks=(), extension=".tif")
    first, second = (made.images / name for name in made.names)
    os.utime(second, (1.0, 1.0))  # else both may be written within one tick of the disk's clock
    target = tmp_path / "out/0000.tif.jpg"
    copy_image(first, target, link=True)
    written = target.stat().st_ino
    copy_image(first, target)
    assert target.stat().st_ino == written and not target.is_symlink()
    copy_image(second, target)
    pixels = read_image(target).astype(int)
    error = np.abs(pixels - read_image(second)).mean()
    assert error < np.abs(pixels - read_image(first)).mean() / 2
    assert target.read_bytes() == copy_content(second, target.name)


def test_what_a_browser_shows_stays_as_it_is(tmp_path: Path) -> None:
    for extension in (".jpg", ".png", ".webp", ".bmp"):
        made = make_dataset(tmp_path / extension, n=1, tasks=(), extension=extension)
        path = made.images / made.names[0]
        assert is_shown_as_read(path), extension
        assert copy_content(path, path.name) == path.read_bytes()
    made = make_dataset(tmp_path / "tif", n=1, tasks=(), extension=".tif")
    assert not is_shown_as_read(made.images / made.names[0])


def test_an_image_too_large_for_a_jpeg_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    assert cv2.imwrite(str(path), np.zeros((1, 70_000, 3), np.uint8))
    with pytest.raises(ImageError, match="1x70000, which a JPEG copy cannot hold"):
        copy_content(path, "wide.tif.jpg")
