"""Laws of the heads of label files: what is stored, of sound files alone, from few bytes."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.recognition import recognitions
from labelgrid.formats import heads
from labelgrid.formats.codec import codec
from labelgrid.formats.heads import Head, head_of

RNG = np.random.default_rng(0)
ALL = (".png", ".npy", ".tiff", ".tif")
SIZE = (40, 60)
FORMATS = {name: codec(name) for name in ("binary", "classes", "depth", "normals")}


def head(path: Path) -> Head:
    found = head_of(path, ALL)
    assert found is not None
    return found


def unit_vectors() -> np.ndarray:
    vectors = RNG.normal(size=(*SIZE, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def saved(path: Path, array: np.ndarray) -> Path:
    """By OpenCV, whose TIFFs have the header at their end; colours are written as RGB."""
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        channels = array[..., ::-1] if array.ndim == 3 else array
        assert cv2.imwrite(str(path), channels)
    return path


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("a.png", np.uint8),
        ("a.png", np.uint16),
        ("a.tif", np.uint16),
        ("a.tiff", np.float32),
        ("a.npy", np.float64),
    ],
)
def test_a_head_gives_the_channels_and_the_type(
    tmp_path: Path, name: str, dtype: type[np.generic]
) -> None:
    array = RNG.integers(0, 200, SIZE).astype(dtype)
    found = head(saved(tmp_path / name, array))
    assert (found.channels, found.dtype, found.palette) == (1, np.dtype(dtype), False)


def test_the_first_rows_of_a_png_are_its_numbers_as_stored(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16):
        for shape in (SIZE, (*SIZE, 3)):
            array = RNG.integers(0, np.iinfo(dtype).max, shape, dtype)
            rows = head(saved(tmp_path / "a.png", array)).rows
            assert rows is not None and np.array_equal(rows, array)


def test_indices_into_a_palette_are_the_numbers(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full(SIZE, 3, np.uint8))
    picture.putpalette([9, 8, 7] * 4)
    picture.save(tmp_path / "a.png", bits=2)
    found = head(tmp_path / "a.png")
    assert found.palette and found.numbers == {3}


def test_one_bit_is_a_type_of_its_own(tmp_path: Path) -> None:
    Image.fromarray(np.eye(9) > 0).save(tmp_path / "a.png")
    assert head(tmp_path / "a.png").dtype == np.bool_


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tiff"])
def test_a_cut_file_and_one_of_another_type_have_no_head(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, RNG.random(SIZE).astype(np.float32))
    data = path.read_bytes()
    assert head_of(path, ALL)
    assert head_of(path, (".bmp",)) is None
    for size in (0, 1, 40, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert head_of(path, ALL) is None
    for ending in ALL:
        other = path.with_name(f"other{ending}")
        other.write_bytes(data)
        assert (head_of(other, ALL) is None) == (ending[:4] != path.suffix[:4])


def test_objects_and_lists_of_numbers_are_no_maps(tmp_path: Path) -> None:
    for array in (np.array([{}]), np.arange(4), np.zeros((0, 3)), np.zeros((1, 2, 3, 4))):
        assert head_of(saved(tmp_path / "a.npy", array), ALL) is None


def test_no_path_raises(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png", "missing.png", "no\0name.png", f"{'x' * 999}.png"):
        assert head_of(tmp_path / name, ALL) is None


class Counted(io.BufferedReader):
    """Counts the bytes that are read of a file."""

    total = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        Counted.total += len(data)
        return data


def count_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "open_regular", lambda path: Counted(io.FileIO(path)))
    monkeypatch.setattr(Counted, "total", 0)


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tiff"])
def test_of_a_large_file_few_bytes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    dtype = np.uint8 if name == "a.png" else np.float32
    path = saved(tmp_path / name, RNG.integers(0, 255, (2000, 2000)).astype(dtype))
    assert path.stat().st_size > 2 * heads.MOST
    count_bytes(monkeypatch)
    assert head(path).dtype == dtype
    assert 0 < Counted.total <= heads.MOST


def test_of_a_tiff_whose_header_asks_for_much_few_bytes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag that claims 4 million numbers."""
    strips = (273).to_bytes(2, "little") + (4).to_bytes(2, "little")
    entry = strips + (4_000_000).to_bytes(4, "little") + (64).to_bytes(4, "little")
    data = b"II*\0\x08\0\0\0\x01\0" + entry + bytes(20_000_000)
    (tmp_path / "a.tiff").write_bytes(data)
    count_bytes(monkeypatch)
    assert head_of(tmp_path / "a.tiff", ALL) is None
    assert 0 < Counted.total <= heads.MOST


@pytest.mark.parametrize(
    ("name", "array", "formats"),
    [
        ("normals.png", np.rint((unit_vectors() + 1) * 127.5).astype(np.uint8), ["normals"]),
        ("normals.npy", unit_vectors(), ["normals"]),
        ("colours.png", RNG.integers(0, 255, (*SIZE, 3), np.uint8), []),
        ("edges.png", 255 * RNG.integers(0, 2, SIZE, np.uint8), ["binary"]),
        ("classes.png", RNG.integers(0, 11, SIZE, np.uint8), ["classes"]),
        ("millimetres.png", RNG.integers(0, 9000, SIZE, np.uint16), ["depth"]),
        ("metres.npy", RNG.random(SIZE), ["depth"]),
        ("black.png", np.zeros(SIZE, np.uint8), ["binary", "classes"]),
        ("few.png", RNG.integers(0, 50, SIZE, np.uint16), ["classes", "depth"]),
    ],
)
def test_the_surest_formats_of_a_file_are(
    tmp_path: Path, name: str, array: np.ndarray, formats: list[str]
) -> None:
    answers = recognitions(FORMATS, saved(tmp_path / name, array))
    largest = max((answer.sure for answer in answers.values()), default=0.0)
    surest = [name for name, answer in answers.items() if answer.sure == largest]
    assert sorted(surest) == formats
