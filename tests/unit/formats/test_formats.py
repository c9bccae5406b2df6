"""Laws of the label formats: what is read, what is refused with which words, and that writing is reading's inverse."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.formats.codec import LabelArray, codec, options_of
from labelgrid.formats.codecs import binary, classes, depth, normals
from labelgrid.images.png import SIGNATURE
from tests.unit.formats.label_files import png, refused

COVERS = ["labelgrid.formats.arrays", "labelgrid.formats.codecs"]

NAMES = classes.Options(("a", "b", "c", "d"))
RNG = np.random.default_rng(0)


# --- class maps


@pytest.mark.parametrize(("dtype", "void"), [(np.uint8, 255), (np.uint16, 65535)])
def test_class_maps_of_8_and_16_bits_give_their_indices_and_their_void(tmp_path, dtype, void):
    stored = np.array([[0, 1, 2], [3, void, 0]], dtype)
    label = classes.read(png(tmp_path / "a.png", stored), NAMES)
    assert label.value.dtype == np.int64
    assert label.value.shape == (2, 3, 1)
    assert label.valid.tolist() == [[True, True, True], [True, False, True]]
    assert (label.value[..., 0] == stored)[label.valid].all()


def test_a_palette_png_is_read_as_indices_not_colours(tmp_path):
    image = Image.new("P", (2, 2))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    image.putdata([3, 0, 1, 2])
    image.save(tmp_path / "a.png")
    assert classes.read(tmp_path / "a.png", NAMES).value[..., 0].tolist() == [[3, 0], [1, 2]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_pngs_of_few_bits_keep_their_indices(tmp_path, bits):
    stored = np.arange(8).reshape(2, 4) % min(2**bits, 4)
    (tmp_path / "a.png").write_bytes(_grey_png(stored, bits))
    assert classes.read(tmp_path / "a.png", NAMES).value[..., 0].tolist() == stored.tolist()


def _grey_png(stored: np.ndarray, bits: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(
        b"\0"
        + np.packbits(
            ((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).ravel()
        ).tobytes()
        for row in stored
    )
    header = struct.pack(">IIBBBBB", stored.shape[1], stored.shape[0], bits, 0, 0, 0, 0)
    return (
        SIGNATURE
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_an_index_without_a_class_is_refused_with_its_values_and_pixels(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 7, 7], [9, 255, 1]], np.uint8))
    refused(classes.read, path, NAMES, "7 (2 pixels), 9 (1 pixel)", "4 classes are 0 to 3")


def test_the_first_index_beyond_the_classes_is_refused_too(tmp_path):
    refused(
        classes.read, png(tmp_path / "a.png", np.array([[0, 4]], np.uint8)), NAMES, "4 (1 pixel)"
    )


def test_a_declared_ignore_number_is_not_labelled_even_if_it_is_a_class(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 1], [9, 3]], np.uint8))
    label = classes.read(path, classes.Options(NAMES.classes, ignore=(0, 9)))
    assert label.valid.tolist() == [[False, True], [False, True]]


def test_colours_are_no_class_map(tmp_path):
    refused(
        classes.read,
        png(tmp_path / "a.png", np.eye(3, dtype=np.uint8)[None]),
        NAMES,
        "3 channels of colour: #000001 (33.3%), #000100 (33.3%), #010000 (33.3%)",
    )


def test_more_than_255_classes_are_written_in_16_bits_and_come_back(tmp_path):
    options = classes.Options(tuple(f"c{i}" for i in range(300)))
    label = LabelArray(
        np.array([[[299], [255]], [[0], [5]]]), np.array([[True, True], [True, False]])
    )
    classes.write(tmp_path / "a.png", label, options)
    again = classes.read(tmp_path / "a.png", options)
    assert (again.valid == label.valid).all()
    assert (again.value == label.value)[label.valid].all()


def test_a_class_map_that_could_not_be_read_back_is_not_written(tmp_path):
    valid = np.ones((1, 1), bool)
    for value, options in (
        (4, NAMES),
        (-1, NAMES),
        (2, classes.Options(NAMES.classes, ignore=(2,))),
    ):
        with pytest.raises(LabelError, match=r"index|indices"):
            classes.write(tmp_path / "a.png", LabelArray(np.full((1, 1, 1), value), valid), options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [[], ["one"], ["a", "b", "a"]])
def test_class_names_must_be_several_and_differ(names):
    with pytest.raises(RecipeError, match="class name"):
        options_of("classes", {"classes": names}, "task 'semseg'")


# --- binary maps


@pytest.mark.parametrize("one_bit", [True, False])
def test_yes_no_maps_of_1_and_8_bits_are_valid_everywhere(tmp_path, one_bit):
    yes = np.array([[True, False], [False, False]])
    Image.fromarray(yes if one_bit else yes.astype(np.uint8) * np.uint8(255)).save(
        tmp_path / "a.png"
    )
    label = binary.read(tmp_path / "a.png", binary.Options())
    assert label.value[..., 0].tolist() == yes.astype(float).tolist()
    assert label.value.dtype == np.float32
    assert label.valid.all()


def test_a_map_without_any_yes_is_a_label(tmp_path):
    label = binary.read(png(tmp_path / "a.png", np.zeros((2, 2), np.uint8)), binary.Options())
    assert label.valid.all()
    assert not label.value.any()


def test_a_map_of_0_and_1_is_refused_until_it_is_declared(tmp_path):
    path = png(tmp_path / "a.png", np.eye(3, dtype=np.uint8))
    refused(
        binary.read,
        path,
        binary.Options(),
        "largest value of this binary map is 1",
        "one_is_positive",
    )
    assert (
        binary.read(path, binary.Options(one_is_positive=True)).value[..., 0] == np.eye(3)
    ).all()


@pytest.mark.parametrize("one_is_positive", [False, True])
def test_grey_between_yes_and_no_is_refused(tmp_path, one_is_positive):
    path = png(tmp_path / "a.png", np.array([[0, 128, 128, 200]], np.uint8))
    refused(
        binary.read, path, binary.Options(one_is_positive), "3 pixels of other values, 128, 200"
    )


def test_sixteen_bits_and_colours_are_no_yes_no_map(tmp_path):
    refused(
        binary.read,
        png(tmp_path / "a.png", np.zeros((2, 2), np.uint16)),
        binary.Options(),
        "uint16",
    )
    refused(
        binary.read,
        png(tmp_path / "b.png", np.eye(3, dtype=np.uint8)[None]),
        binary.Options(),
        "one channel",
    )


@pytest.mark.parametrize("one_is_positive", [False, True])
def test_a_yes_no_map_comes_back_and_has_no_way_to_say_not_labelled(tmp_path, one_is_positive):
    options = binary.Options(one_is_positive)
    label = LabelArray((RNG.random((5, 7, 1)) > 0.5).astype(np.float32), np.ones((5, 7), bool))
    binary.write(tmp_path / "a.png", label, options)
    assert (binary.read(tmp_path / "a.png", options).value == label.value).all()
    with pytest.raises(LabelError, match="cannot mark pixels as not labelled; 35 pixels"):
        binary.write(tmp_path / "b.png", LabelArray(label.value, ~label.valid), options)


# --- all formats

READERS = [
    (classes, NAMES),
    (binary, binary.Options()),
    (depth, depth.Options()),
    (normals, normals.Options()),
]


@pytest.mark.parametrize(("module", "options"), READERS)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, module, options, capfd):
    whole = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole, "png")
    jpeg = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(jpeg, "jpeg")
    for content, words in (
        (b"", "0 bytes"),
        (whole.getvalue()[:200], "cut short"),
        (whole.getvalue()[:20], "cut short"),
        (whole.getvalue()[:500] + bytes(200) + whole.getvalue()[700:], "damaged"),
        (jpeg.getvalue(), "its content is JPEG"),
        (b"hello", "not a PNG"),
    ):
        (tmp_path / "a.png").write_bytes(content)
        refused(module.read, tmp_path / "a.png", options, words)
    refused(module.read, tmp_path / "missing.png", options, "No such file")
    refused(module.read, tmp_path / "a.jpg", options, "the extension '.jpg'")
    assert capfd.readouterr() == ("", "")


def test_damaged_16_bit_colours_are_refused_too(tmp_path, capfd):
    unit = RNG.normal(size=(32, 32, 3))
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    path = tmp_path / "a.png"
    normals.write(
        path, LabelArray(unit.astype(np.float32), np.ones((32, 32), bool)), normals.Options()
    )
    whole = path.read_bytes()
    assert whole[24] == 16
    middle = len(whole) // 2
    pieces = (
        whole[:middle],
        whole[:-12],
        whole[:10],
        whole[:26],
        whole[:middle] + b"\0\0\0\0" + whole[middle + 4 :],
    )
    for content in pieces:
        path.write_bytes(content)
        refused(normals.read, path, normals.Options(), "damaged")
    assert capfd.readouterr() == ("", "")


def test_large_labels_are_read_without_a_warning(tmp_path, monkeypatch):
    path = png(tmp_path / "a.png", np.ones((40, 40), np.uint16))
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 1000
    )  # from here on Pillow warns, from twice that on it refuses
    assert depth.read(path, depth.Options()).valid.all()
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "1599")
    refused(depth.read, path, depth.Options(), "it has 40x40 pixels, more than the limit")


@pytest.mark.parametrize(("module", "options"), READERS)
def test_a_label_without_a_valid_pixel_is_refused(tmp_path, module, options):
    void = {classes: np.full((2, 2), 255, np.uint8), normals: np.full((2, 2, 3), 128, np.uint8)}
    if module is not binary:
        path = png(tmp_path / "a.png", void.get(module, np.zeros((2, 2), np.uint16)))
        refused(module.read, path, options, "All-invalid label: none of its 4 pixels")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01", b"nonsense", None])
def test_a_damaged_npy_is_refused_and_no_object_is_ever_unpickled(tmp_path, content):
    path = tmp_path / "a.npy"
    if content is None:
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(content)
    refused(depth.read, path, depth.Options(), "0 bytes" if content == b"" else "cannot be read")
    np.save(path, np.ones((3, 3)))
    path.write_bytes(path.read_bytes()[:-8])
    refused(depth.read, path, depth.Options(), "cannot be read")


def test_a_refused_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    label = LabelArray(np.ones((3, 3, 1), np.float32), np.ones((3, 3), bool))
    path = tmp_path / "sub" / "a.png"
    depth.write(path, label, depth.Options())
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabelError, match=r"No space left on device \(.*a\.png\)") as error:
        depth.write(path, LabelArray(label.value * 2, label.valid), depth.Options())
    assert "existing file was not changed" in str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["classes", "binary", "depth", "normals"])
def test_a_format_says_what_its_arrays_look_like(name):
    module = codec(name)
    assert module.EXTENSIONS[0] == ".png"
    assert re.fullmatch("[13]", str(module.CHANNELS))
    assert module.DTYPE in (np.int64, np.float32)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("type", [np.float32, np.float64])
def test_normals_of_any_numbers_are_read_or_refused_without_a_warning(tmp_path, type):
    vectors = np.zeros((16, 16, 3), type)
    vectors[..., 2] = 1
    vectors[0, 0] = (np.finfo(type).max, -1, np.finfo(type).max)
    vectors.view(np.uint8)[1, 0, : 3 * np.dtype(type).itemsize] = (1, 0, 0x80, 0x7F) * (
        3 * np.dtype(type).itemsize // 4
    )
    np.save(tmp_path / "a.npy", vectors)
    assert not normals.read(tmp_path / "a.npy", normals.Options()).valid[0, 0]


@pytest.mark.parametrize("type", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("read", [normals.read, normals.read_prediction])
def test_normals_read_some_rows_at_a_time_are_those_read_at_once(tmp_path, monkeypatch, type, read):
    vectors = RNG.normal(size=(9, 5, 3)) * [1, 1, 0] + [0, 0, 2]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[3, 1:3] = 0
    if type == np.float32:
        np.save(path := tmp_path / "a.npy", vectors.astype(type))
    else:
        half = np.iinfo(type).max / 2
        stored = np.where(vectors.any(2, keepdims=True), np.rint((vectors + 1) * half), 0).astype(
            type
        )
        png(path := tmp_path / "a.png", stored)
    options = normals.Options(axes="x left, y up, z toward the camera")
    whole = read(path, options)
    monkeypatch.setattr(normals, "CACHED", 11)
    parts = read(path, options)
    np.testing.assert_array_equal(whole.value, parts.value)
    np.testing.assert_array_equal(whole.valid, parts.valid)
    np.testing.assert_array_equal(whole.valid, vectors.any(2))
    expected = (vectors * [-1, 1, 1])[whole.valid]
    np.testing.assert_allclose(whole.value[whole.valid], expected, atol=0.01)


@pytest.mark.parametrize("extension", [".tiff", ".tif", ".png"])
def test_a_file_of_several_pages_is_refused(tmp_path: Path, extension: str) -> None:
    pages = [Image.fromarray(np.full((4, 6), value, np.uint16)) for value in (1000, 2000)]
    pages[0].save(path := tmp_path / f"a{extension}", save_all=True, append_images=pages[1:])
    refused(depth.read, path, depth.Options(), "has 2 pages", "Save the right page alone.")
