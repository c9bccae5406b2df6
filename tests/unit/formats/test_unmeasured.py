"""Numbers that stand for "not measured" are read so, or named, in every file of depths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray
from PIL import Image

from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray, options_of
from labelgrid.formats.codecs import depth

Pixels = NDArray[Any]
SCENE = np.linspace(1.2, 4, 240).reshape(12, 20)
SKY = (slice(0, 3), slice(None))


def exr(path: Path, array: Pixels) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": array}).write(str(path))


def picture(path: Path, array: Pixels) -> None:
    Image.fromarray(array).save(path)


#: The file's name, its numbers' type, the numbers of a metre, and how it is written.
FILES: dict[str, tuple[str, str, float, Callable[[Path, Pixels], Any]]] = {
    "EXR of halves": ("a.exr", "f2", 1, exr),
    "EXR of floats": ("a.exr", "f4", 1, exr),
    "PNG of 16 bits": ("a.png", "u2", 1000, picture),
    "TIFF of floats": ("a.tiff", "f4", 1, picture),
    "TIFF of 16 bits": ("a.tif", "u2", 1000, picture),
    "npy of halves": ("a.npy", "f2", 1, np.save),
    "npy of doubles": ("a.npy", "f8", 1, np.save),
    "npy of 16 bits": ("a.npy", "u2", 1000, np.save),
    "npy of signed 16 bits": ("a.npy", "i2", 1000, np.save),
    "npy of signed 32 bits": ("a.npy", "i4", 1000, np.save),
}


def largest(kind: str) -> float:
    """What stands for "not measured": a type's largest number, as far as it is not told anyway."""
    return {"f2": 65504, "f4": 65504, "f8": 65504}.get(kind) or np.iinfo(kind).max


def stored(path: Path, file: str, sky: float, scene: Pixels = SCENE) -> Path:
    """A file of the scene, with a number in place of the sky."""
    name, kind, steps, write = FILES[file]
    numbers = np.rint(scene * steps) if kind[0] in "ui" else scene * steps
    numbers[SKY] = sky
    write(path / name, numbers.astype(kind))
    return path / name


def options(file: str, **values: Any) -> depth.Options:
    _, _, steps, _ = FILES[file]
    found: depth.Options = options_of("depth", {"scale": 1 / steps, **values}, "")
    return found


@pytest.mark.parametrize("file", FILES)
def test_a_declared_number_is_not_measured_in_any_file(tmp_path: Path, file: str) -> None:
    number = largest(FILES[file][1])
    path = stored(tmp_path, file, number)
    label = depth.read(path, options(file, ignore=[number]))
    assert not label.valid[SKY].any() and label.valid.sum() == 180
    assert np.allclose(label.value[3:, :, 0], SCENE[3:], atol=2e-3)


@pytest.mark.parametrize("file", FILES)
def test_beyond_a_maximum_it_is_named_and_the_hint_makes_the_file_right(
    tmp_path: Path, file: str
) -> None:
    number = largest(FILES[file][1])
    path = stored(tmp_path, file, number)
    with pytest.raises(LabelError, match="likely means 'not measured'") as error:
        depth.read(path, options(file, maximum=20))
    assert error.value.declare == {"ignore": [number]}
    assert f"`ignore = [{number}]`" in (error.value.next_step or "")
    assert "`maximum" not in str(error.value) and "`scale" not in str(error.value)
    label = depth.read(path, options(file, maximum=20, **error.value.declare))
    assert not label.valid[SKY].any() and label.valid.sum() == 180


@pytest.mark.parametrize("number", [0, -1, 1e10, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("file", [name for name, each in FILES.items() if each[1][0] == "f"])
def test_numbers_that_no_depth_is_need_no_declaration(
    tmp_path: Path, file: str, number: float
) -> None:
    with np.errstate(over="ignore"):
        label = depth.read(stored(tmp_path, file, number), options(file, maximum=20))
    assert not label.valid[SKY].any() and label.valid.sum() == 180


@pytest.mark.parametrize("kind", ["i2", "i4", "f2", "f4", "f8"])
def test_nor_does_a_type_s_smallest(tmp_path: Path, kind: str) -> None:
    smallest = np.iinfo(kind).min if kind[0] == "i" else np.finfo(kind).min
    numbers = np.full((12, 20), 2, kind)
    numbers[SKY] = smallest
    np.save(tmp_path / "a.npy", numbers)
    label = depth.read(tmp_path / "a.npy", options_of("depth", {"scale": 1.0}, ""))
    assert not label.valid[SKY].any() and label.valid.sum() == 180


@pytest.mark.parametrize(("number", "text"), [(1000, "1000"), (9999.9, "9999.9"), (500, "500")])
def test_so_is_any_number_of_many_pixels_far_beyond_all_others(
    tmp_path: Path, number: float, text: str
) -> None:
    path = stored(tmp_path, "EXR of floats", number)
    with pytest.raises(LabelError) as error:
        depth.read(path, depth.Options(maximum=20))
    assert f"`ignore = [{text}]`" in (error.value.next_step or "")
    declared = options_of("depth", {"maximum": 20, **error.value.declare}, "")
    assert depth.read(path, declared).valid.sum() == 180


def test_millimetres_are_still_millimetres_and_one_hint_is_given(tmp_path: Path) -> None:
    path = stored(tmp_path, "TIFF of floats", 0, SCENE * 1000)
    with pytest.raises(LabelError) as error:
        depth.read(path, depth.Options(maximum=20))
    assert error.value.declare == {"scale": 0.001}
    assert "`maximum" not in (error.value.next_step or "")


def test_what_is_declared_is_not_advised_again_and_is_written_around(tmp_path: Path) -> None:
    declared = depth.Options(maximum=20, ignore=(65504.0,))
    path = stored(tmp_path, "EXR of floats", 65504, SCENE * 1000)
    with pytest.raises(LabelError) as error:
        depth.read(path, declared)
    assert error.value.declare == {"scale": 0.001}
    for name, number in (("a.png", 3000.0), ("a.npy", 2.5)):
        options = depth.Options(ignore=(number,))
        value = np.array([[[3.0], [2.5], [1.0]]], np.float32)
        label = LabelArray(value, np.array([[True, True, False]]))
        depth.write(tmp_path / name, label, options)
        read = depth.read(tmp_path / name, options)
        assert (read.valid == label.valid).all()
        assert np.allclose(read.value[read.valid], value[label.valid], atol=1.1e-3)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_what_never_is_measured_cannot_be_declared(wrong: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        depth.Options(ignore=(wrong,))
