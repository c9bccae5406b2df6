"""Laws of the label formats: what is read, what is refused with which words, and that writing is reading's inverse."""

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from labelgrid.errors import LabelError, RecipeError
from labelgrid.labels.codec import LabelArray, codec, options_of
from labelgrid.labels.formats import files, binary, classes, depth, normals

COVERS = ["labelgrid.labels.formats"]

NAMES = classes.Options(("a", "b", "c", "d"))
RNG = np.random.default_rng(0)


def png(path: Path, array: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def refused(read, path: Path, options: object, *words: str) -> str:
    with pytest.raises(LabelError) as error:
        read(path, options)
    text = str(error.value)
    assert str(path) in text
    for word in words:
        assert word in text, text
    return text


def unit(shape: tuple[int, int]) -> np.ndarray:
    vectors = RNG.normal(size=(*shape, 3))
    vectors[..., 2] = np.abs(vectors[..., 2])
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


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
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).ravel()).tobytes()
        for row in stored
    )
    header = struct.pack(">IIBBBBB", stored.shape[1], stored.shape[0], bits, 0, 0, 0, 0)
    return files.PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_an_index_without_a_class_is_refused_with_its_values_and_pixels(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 7, 7], [9, 255, 1]], np.uint8))
    refused(classes.read, path, NAMES, "7 (2 pixels), 9 (1 pixels)", "4 classes are 0 to 3")


def test_a_declared_ignore_number_is_not_labelled_even_if_it_is_a_class(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 1], [9, 3]], np.uint8))
    label = classes.read(path, classes.Options(NAMES.classes, ignore=(0, 9)))
    assert label.valid.tolist() == [[False, True], [False, True]]


def test_colours_are_no_class_map(tmp_path):
    refused(classes.read, png(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8)), NAMES, "3 channels of colour")


def test_more_than_255_classes_are_written_in_16_bits_and_come_back(tmp_path):
    options = classes.Options(tuple(f"c{i}" for i in range(300)))
    label = LabelArray(np.array([[[299], [255]], [[0], [5]]]), np.array([[True, True], [True, False]]))
    classes.write(tmp_path / "a.png", label, options)
    again = classes.read(tmp_path / "a.png", options)
    assert (again.valid == label.valid).all()
    assert (again.value == label.value)[label.valid].all()


def test_a_class_map_that_could_not_be_read_back_is_not_written(tmp_path):
    valid = np.ones((1, 1), bool)
    for value, options in ((4, NAMES), (-1, NAMES), (2, classes.Options(NAMES.classes, ignore=(2,)))):
        with pytest.raises(LabelError, match=r"index|indices"):
            classes.write(tmp_path / "a.png", LabelArray(np.full((1, 1, 1), value), valid), options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [[], ["one"], ["a", "b", "a"]])
def test_class_names_must_be_several_and_differ(names):
    with pytest.raises(RecipeError, match="class name"):
        options_of("classes", {"classes": names}, "task 'semseg'")


# --- yes/no maps


@pytest.mark.parametrize("one_bit", [True, False])
def test_yes_no_maps_of_1_and_8_bits_are_valid_everywhere(tmp_path, one_bit):
    yes = np.array([[True, False], [False, False]])
    Image.fromarray(yes if one_bit else yes.astype(np.uint8) * np.uint8(255)).save(tmp_path / "a.png")
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
    refused(binary.read, path, binary.Options(), "largest value of this yes/no map is 1", "one_is_positive")
    assert (binary.read(path, binary.Options(one_is_positive=True)).value[..., 0] == np.eye(3)).all()


@pytest.mark.parametrize("one_is_positive", [False, True])
def test_grey_between_yes_and_no_is_refused(tmp_path, one_is_positive):
    path = png(tmp_path / "a.png", np.array([[0, 128, 128, 200]], np.uint8))
    refused(binary.read, path, binary.Options(one_is_positive), "3 pixels of other values, 128, 200")


def test_sixteen_bits_and_colours_are_no_yes_no_map(tmp_path):
    refused(binary.read, png(tmp_path / "a.png", np.zeros((2, 2), np.uint16)), binary.Options(), "uint16")
    refused(binary.read, png(tmp_path / "b.png", np.zeros((2, 2, 3), np.uint8)), binary.Options(), "one channel")


@pytest.mark.parametrize("one_is_positive", [False, True])
def test_a_yes_no_map_comes_back_and_has_no_way_to_say_not_labelled(tmp_path, one_is_positive):
    options = binary.Options(one_is_positive)
    label = LabelArray((RNG.random((5, 7, 1)) > 0.5).astype(np.float32), np.ones((5, 7), bool))
    binary.write(tmp_path / "a.png", label, options)
    assert (binary.read(tmp_path / "a.png", options).value == label.value).all()
    with pytest.raises(LabelError, match="no way to say 'not labelled', and 35 pixels"):
        binary.write(tmp_path / "b.png", LabelArray(label.value, ~label.valid), options)


# --- depth


def test_a_16_bit_png_is_millimetres_unless_a_scale_is_declared(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 1500]], np.uint16))
    label = depth.read(path, depth.Options())
    assert label.valid.tolist() == [[False, True]]
    assert label.value[0, 1, 0] == pytest.approx(1.5)
    assert depth.read(path, depth.Options(scale=1 / 256)).value[0, 1, 0] == pytest.approx(1500 / 256)


@pytest.mark.parametrize("suffix", [".npy", ".tiff", ".tif"])
def test_floating_point_depth_is_metres_and_void_where_it_cannot_be_depth(tmp_path, suffix):
    stored = np.array([[2.5, 0, -1], [np.nan, np.inf, 3]], np.float32)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        npy(path, stored)
    else:
        Image.fromarray(stored).save(path)
    label = depth.read(path, depth.Options())
    assert label.valid.tolist() == [[True, False, False], [False, False, True]]
    assert label.value[label.valid][:, 0].tolist() == [2.5, 3]
    assert np.isfinite(label.value).all()


def test_8_bit_depth_is_refused_until_its_scale_is_declared(tmp_path):
    path = png(tmp_path / "a.png", np.array([[10, 20]], np.uint8))
    refused(depth.read, path, depth.Options(), "1x2 uint8", "Declare the task's scale")
    assert depth.read(path, depth.Options(scale=0.1)).value[0, 1, 0] == pytest.approx(2.0)


def test_whole_numbers_of_metres_in_npy_are_refused_without_a_scale(tmp_path):
    refused(depth.read, npy(tmp_path / "a.npy", np.ones((2, 2), np.int32)), depth.Options(), "int32")


@pytest.mark.parametrize(
    "stored", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.full((3, 4), np.inf), -np.ones((3, 4))]
)
def test_an_all_invalid_depth_is_refused(tmp_path, stored):
    refused(depth.read, npy(tmp_path / "a.npy", stored), depth.Options(), "All-invalid label", "12 pixels")


def test_depth_beyond_the_declared_maximum_is_refused(tmp_path):
    path = npy(tmp_path / "a.npy", np.array([[1500.0, np.inf]]))
    refused(depth.read, path, depth.Options(maximum=10), "largest value is 1500", "maximum of 10")
    assert depth.read(path, depth.Options(maximum=1500)).valid.sum() == 1


def test_a_depth_map_has_one_channel(tmp_path):
    refused(depth.read, npy(tmp_path / "a.npy", np.ones((4, 4, 3))), depth.Options(), "one channel", "4x4x3")
    assert depth.read(npy(tmp_path / "b.npy", np.ones((4, 5, 1))), depth.Options()).size == (4, 5)


def test_depth_comes_back_exactly_from_npy_and_tiff_and_within_half_a_step_from_png(tmp_path):
    value = RNG.uniform(0.0001, 60, (9, 11, 1)).astype(np.float32)
    value[0, 0] = 1e-5
    label = LabelArray(value, RNG.random((9, 11)) > 0.3)
    label.valid[0, 0] = True
    for name, bound in (("a.npy", 0), ("a.tiff", 0), ("a.png", 0.000502), ("b.png", 0.00202)):
        options = depth.Options(scale=0.004 if name == "b.png" else None)
        depth.write(tmp_path / name, label, options)
        again = depth.read(tmp_path / name, options)
        assert (again.valid == label.valid).all(), name
        error = np.abs(again.value - label.value)[label.valid]
        assert error[1:].max() <= bound, name


def test_depth_beyond_a_16_bit_png_is_refused_when_written(tmp_path):
    label = LabelArray(np.full((1, 1, 1), 66.0), np.ones((1, 1), bool))
    with pytest.raises(LabelError, match="beyond a 16-bit PNG"):
        depth.write(tmp_path / "a.png", label, depth.Options())


@pytest.mark.parametrize("values", [{"scale": 0}, {"scale": -1.0}, {"maximum": 0.0}])
def test_a_scale_and_a_maximum_must_be_larger_than_0(values):
    with pytest.raises(RecipeError, match="larger than 0"):
        options_of("depth", values, "task 'depth'")


# --- normals


@pytest.mark.parametrize("bits", [8, 16])
def test_normals_in_png_are_unit_vectors_and_void_where_grey_or_black(tmp_path, bits):
    top, dtype = 2**bits - 1, np.dtype(f"uint{bits}")
    truth = unit((6, 7))
    stored = np.rint((truth + 1) / 2 * top).astype(dtype)
    stored[0, 0], stored[0, 1], stored[0, 2] = top // 2, top // 2 + 1, 0
    label = normals.read(png(tmp_path / "a.png", stored), normals.Options())
    assert not label.valid[0, :3].any()
    assert label.valid.sum() == 39
    assert np.allclose(np.linalg.norm(label.value[label.valid], axis=-1), 1, atol=1e-6)
    assert np.abs(label.value - truth)[label.valid].max() < 2 / top


def test_normals_in_npy_are_void_where_zero_or_not_finite(tmp_path):
    truth = unit((2, 3))
    stored = truth.copy()
    stored[0, 0], stored[0, 1] = 0, np.nan
    label = normals.read(npy(tmp_path / "a.npy", stored), normals.Options())
    assert label.valid.tolist() == [[False, False, True], [True, True, True]]
    assert np.allclose(label.value[label.valid], truth[label.valid], atol=1e-6)


def test_a_vector_is_not_taken_for_void_because_its_parts_sum_to_zero(tmp_path):
    path = npy(tmp_path / "a.npy", np.array([[[1, -1, 0]]], np.float32) / np.sqrt(2, dtype=np.float32))
    assert normals.read(path, normals.Options()).valid.all()


def test_normals_that_are_not_unit_vectors_are_refused(tmp_path):
    refused(normals.read, npy(tmp_path / "a.npy", unit((4, 5)) * 0.8), normals.Options(), "20 of 20", "0.8")


def test_a_few_vectors_blended_across_an_edge_are_void_not_a_refusal(tmp_path):
    stored = unit((20, 20))
    stored[3, 4] *= 0.7
    label = normals.read(npy(tmp_path / "a.npy", stored), normals.Options())
    assert label.valid.sum() == 399
    assert not label.valid[3, 4]


@pytest.mark.parametrize("axes", sorted(normals.AXES))
def test_every_declared_convention_of_axes_gives_ours_and_comes_back(tmp_path, axes):
    truth = unit((5, 6))
    signs = [-1 if word in axes else 1 for word in ("left", "down", "away")]
    label = normals.read(npy(tmp_path / "a.npy", truth * np.array(signs)), normals.Options(axes))
    assert np.allclose(label.value, truth, atol=1e-6)
    normals.write(tmp_path / "b.png", label, normals.Options(axes))
    assert np.abs(normals.read(tmp_path / "b.png", normals.Options(axes)).value - truth).max() < 4e-5


def test_normals_that_look_away_from_the_camera_are_refused(tmp_path):
    path = npy(tmp_path / "a.npy", unit((5, 6)) * np.array([1, 1, -1], np.float32))
    refused(normals.read, path, normals.Options(), "100% of the normals point away", "Declare the axes")


def test_unknown_axes_are_refused_with_the_known_ones():
    with pytest.raises(RecipeError, match="unknown axes 'z up'; known: x right, y up"):
        options_of("normals", {"axes": "z up"}, "task 'normals'")


def test_normals_have_three_channels_last_and_are_real_numbers(tmp_path):
    refused(normals.read, npy(tmp_path / "a.npy", np.ones((3, 8, 9))), normals.Options(), "three channels", "3x8x9")
    refused(normals.read, npy(tmp_path / "b.npy", np.ones((8, 9, 3), np.int64)), normals.Options(), "[-1, 1]")
    refused(normals.read, png(tmp_path / "c.png", np.ones((8, 9), np.uint8)), normals.Options(), "three channels")


def test_normals_come_back_with_their_void(tmp_path):
    label = LabelArray(unit((8, 9)), RNG.random((8, 9)) > 0.4)
    for name, bound in (("a.npy", 1e-6), ("a.png", 4e-5)):
        normals.write(tmp_path / name, label, normals.Options())
        again = normals.read(tmp_path / name, normals.Options())
        assert (again.valid == label.valid).all()
        assert np.abs(again.value - label.value)[label.valid].max() < bound


# --- all formats

READERS = [(classes, NAMES), (binary, binary.Options()), (depth, depth.Options()), (normals, normals.Options())]


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
        (jpeg.getvalue(), "not a PNG"),
        (b"hello", "not a PNG"),
    ):
        (tmp_path / "a.png").write_bytes(content)
        refused(module.read, tmp_path / "a.png", options, words)
    refused(module.read, tmp_path / "missing.png", options, "No such file")
    refused(module.read, tmp_path / "a.jpg", options, "'.jpg' files")
    assert capfd.readouterr() == ("", "")


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

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(LabelError, match=r"No space left on device \(.*a\.png\)") as error:
        depth.write(path, LabelArray(label.value * 2, label.valid), depth.Options())
    assert "still there" in str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["classes", "binary", "depth", "normals"])
def test_a_format_says_what_its_arrays_look_like(name):
    module = codec(name)
    assert module.EXTENSIONS[0] == ".png"
    assert re.fullmatch("[13]", str(module.CHANNELS))
    assert module.DTYPE in (np.int64, np.float32)
