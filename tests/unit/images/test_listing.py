"""Laws of listed images: by their paths, in order, each once.

A list that cannot be meant is refused.
"""

import os
import re
from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError
from labelgrid.images.listing import list_images, read_list


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_images_are_listed_by_their_paths_sorted_and_without_hidden_files(tmp_path):
    for name in (
        "b.JPG",
        "a/b.jpg",
        "a/b.png",
        "a.tif",
        "c/d/e.webp",
        ".x.png",
        ".hidden/a.png",
        "notes.txt",
        "a/b",
    ):
        touch(tmp_path / name)
    assert list_images(tmp_path) == ["a.tif", "a/b.jpg", "a/b.png", "b.JPG", "c/d/e.webp"]


def test_linked_folders_are_followed_once(tmp_path):
    touch(tmp_path / "far" / "a.png")
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "pool")
    assert list_images(tmp_path / "pool") == ["link/a.png"]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no such folder"):
        list_images(tmp_path / "missing")
    touch(tmp_path / "a.txt")
    with pytest.raises(ImageError, match="holds no images"):
        list_images(tmp_path)


def test_a_name_that_is_not_unicode_is_refused(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes Unicode names alone")
    with pytest.raises(ImageError, match="not Unicode"):
        list_images(tmp_path)


def write_list(folder: Path, text: str) -> Path:
    (folder / "list.txt").write_text(text, encoding="utf-8")
    return folder / "list.txt"


def test_a_list_gives_its_lines_in_their_order(tmp_path):
    assert read_list(write_list(tmp_path, "b/ü.jpg\n\n./a.png \r\nb/#1.png\n")) == [
        "b/ü.jpg",
        "a.png",
        "b/#1.png",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no images"),
        ("a.png\n../b.png\n", "Line 2, '../b.png', leaves"),
        ("/a.png", "leaves the list's folder"),
        ("b/../../a.png", "leaves the list's folder"),
        ("a.png\nb/../a.png", "'a.png' is on lines 1 and 2"),
        ("a.png\nb.png\na.png", "'a.png' is on lines 1 and 3"),
        ("a.txt", "does not have the extension of an image"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_with_its_line(tmp_path, text, words):
    with pytest.raises(ImageError, match=re.escape(words)):
        read_list(write_list(tmp_path, text))
