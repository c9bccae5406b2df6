"""Laws of depth and normal maps: units, validity, axes, and that writing is reading's inverse."""

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.evidence.batch_doubts import Summaries
from labelgrid.formats.codec import LabelArray, options_of
from labelgrid.formats.codecs import depth, normals
from labelgrid.formats.codecs.normals import AWAY, AXES
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.tasks.task import TaskDef
from tests.unit.formats.label_files import npy, png, refused

RNG = np.random.default_rng(0)


def unit(shape: tuple[int, int]) -> np.ndarray:
    vectors = RNG.normal(size=(*shape, 3))
    vectors[..., 2] = np.abs(vectors[..., 2])
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


# --- depth


def test_a_16_bit_png_is_millimetres_unless_a_scale_is_declared(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 1500]], np.uint16))
    label = depth.read(path, depth.Options())
    assert label.valid.tolist() == [[False, True]]
    assert label.value[0, 1, 0] == pytest.approx(1.5)
    assert depth.read(path, depth.Options(scale=1 / 256)).value[0, 1, 0] == pytest.approx(
        1500 / 256
    )


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
    refused(
        depth.read, path, depth.Options(), "1x2 uint8", "declare the scale of all the task's labels"
    )
    assert depth.read(path, depth.Options(scale=0.1)).value[0, 1, 0] == pytest.approx(2.0)


def test_whole_numbers_of_metres_in_npy_are_refused_without_a_scale(tmp_path):
    refused(
        depth.read, npy(tmp_path / "a.npy", np.ones((2, 2), np.int32)), depth.Options(), "int32"
    )


@pytest.mark.parametrize(
    "stored", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.full((3, 4), np.inf), -np.ones((3, 4))]
)
def test_an_all_invalid_depth_is_refused(tmp_path, stored):
    refused(
        depth.read,
        npy(tmp_path / "a.npy", stored),
        depth.Options(),
        "All-invalid label",
        "12 pixels",
    )


def test_depth_beyond_the_declared_maximum_is_refused(tmp_path):
    path = npy(tmp_path / "a.npy", np.array([[1500.0, np.inf]]))
    refused(depth.read, path, depth.Options(maximum=10), "largest value is 1500", "maximum of 10")
    assert depth.read(path, depth.Options(maximum=1500)).valid.sum() == 1


@pytest.mark.parametrize(
    "largest, maximum, scale, cure",
    [
        (9647.0, 12.0, None, {"scale": 0.001}),
        (964.7, 12.0, None, {"scale": 0.01}),
        (9647.0, 12.0, 0.01, {"scale": 0.001}),
        (96470.0, 12.0, 0.001, {"maximum": 96.47}),
        (13.0, 12.0, None, {"maximum": 13.0}),
        (100.0, 12.0, None, {"maximum": 100.0}),
        (1e6, 12.0, None, {"maximum": 1e6}),
    ],
)
def test_where_another_scale_explains_numbers_beyond_the_maximum_that_is_the_cure(
    tmp_path, largest, maximum, scale, cure
):
    path = npy(tmp_path / "a.npy", np.array([[largest, largest / 3]]))
    with pytest.raises(LabelError) as error:
        depth.read(path, depth.Options(maximum=maximum, scale=scale))
    assert error.value.declare == cure
    (key,) = cure
    assert f"`{key} = " in (error.value.next_step or "")


def test_a_depth_map_has_one_channel(tmp_path):
    refused(
        depth.read,
        npy(tmp_path / "a.npy", np.ones((4, 4, 3))),
        depth.Options(),
        "one channel",
        "4x4x3",
    )
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
    with pytest.raises(LabelError, match="exceeds the range of a 16-bit PNG"):
        depth.write(tmp_path / "a.png", label, depth.Options())


def test_a_scale_is_a_number_or_a_fraction_as_text(tmp_path):
    path = png(tmp_path / "a.png", np.array([[0, 1500]], np.uint16))
    values = [options_of("depth", {"scale": scale}, "") for scale in ("1/256", 1 / 256)]
    assert {depth.read(path, options).value[0, 1, 0] for options in values} == {1500 / 256}
    assert "steps of 0.00390625 m" in depth.describe(values[0])
    depth.write(tmp_path / "b.png", depth.read(path, values[0]), values[0])
    assert (depth.read(tmp_path / "b.png", values[0]).value[0, 1] == 1500 / 256).all()


@pytest.mark.parametrize("scale", ["1/0", "one", "1/-2", "0.5", "1/256/2", "", "1e3/4"])
def test_other_text_is_no_scale(scale):
    with pytest.raises(RecipeError, match="a number or a fraction such as"):
        options_of("depth", {"scale": scale}, "task 'depth'")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "u4", "i4"])
def test_numbers_of_any_type_and_order_of_bytes_are_read(tmp_path, dtype):
    stored = np.array([[0, 2], [3, 4]], dtype)
    options = depth.Options(scale=0.5)
    for name in ("a", "b"):
        path = npy(tmp_path / f"{name}.npy", stored if name == "a" else stored[None])
        assert depth.read(path, options).value[..., 0].tolist() == [[0, 1], [1.5, 2]]


@pytest.mark.parametrize(
    "values", [{"scale": 0}, {"scale": -1.0}, {"scale": "0/3"}, {"maximum": 0.0}]
)
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
    path = npy(
        tmp_path / "a.npy", np.array([[[1, -1, 0]]], np.float32) / np.sqrt(2, dtype=np.float32)
    )
    assert normals.read(path, normals.Options()).valid.all()


def test_normals_that_are_not_unit_vectors_are_refused(tmp_path):
    refused(
        normals.read,
        npy(tmp_path / "a.npy", unit((4, 5)) * 0.8),
        normals.Options(),
        "20 of 20",
        "0.8",
    )


def test_a_few_vectors_blended_across_an_edge_are_void_not_a_refusal(tmp_path):
    stored = unit((20, 20))
    stored[3, 4] *= 0.7
    label = normals.read(npy(tmp_path / "a.npy", stored), normals.Options())
    assert label.valid.sum() == 399
    assert not label.valid[3, 4]


@pytest.mark.parametrize("axes", sorted(normals.AXES))
def test_every_declared_convention_of_axes_gives_ours_and_comes_back(tmp_path, axes):
    truth = unit((5, 6))
    parts = []
    for word in axes.split(", "):
        (place,) = [
            place
            for place, names in enumerate(("right left", "up down", "toward away"))
            if word.split()[1] in names
        ]
        sign = -1 if word.split()[1] in ("left", "down", "away") else 1
        parts.append(sign * truth[..., place])
    stored = np.stack(parts, -1)
    label = normals.read(npy(tmp_path / "a.npy", stored), normals.Options(axes))
    assert np.allclose(label.value, truth, atol=1e-6)
    normals.write(tmp_path / "b.png", label, normals.Options(axes))
    assert (
        np.abs(normals.read(tmp_path / "b.png", normals.Options(axes)).value - truth).max() < 4e-5
    )


def test_normals_that_look_away_from_the_camera_are_refused(tmp_path):
    path = npy(tmp_path / "a.npy", unit((5, 6)) * np.array([1, 1, -1], np.float32))
    refused(
        normals.read, path, normals.Options(), "100% of the normals point away", "Declare the axes"
    )


def test_a_part_of_the_normals_that_looks_away_is_refused_where_it_is_the_larger_part(tmp_path):
    away = np.linspace(0, 1, 20, endpoint=False)
    for share, wrong in ((0.5, False), (0.7, True)):
        vectors = np.zeros((20, 20, 3), np.float32)
        vectors[..., 2] = np.where(away < share, -1, 1)
        path = npy(tmp_path / "a.npy", vectors)
        if wrong:
            refused(normals.read, path, normals.Options(), "70% of the normals", "Declare the axes")
        else:
            assert normals.read(path, normals.Options()).valid.all()


def test_unknown_axes_are_refused_with_the_known_ones():
    with pytest.raises(
        RecipeError, match="unknown axes 'z up'; they are x, y and z, each with one of right, left"
    ):
        options_of("normals", {"axes": "z up"}, "task 'normals'")


def test_normals_have_three_channels_last_and_are_real_numbers(tmp_path):
    refused(
        normals.read,
        npy(tmp_path / "a.npy", np.ones((4, 8, 9))),
        normals.Options(),
        "three channels",
        "4x8x9",
    )
    refused(
        normals.read,
        npy(tmp_path / "b.npy", np.ones((8, 9, 3), np.int64)),
        normals.Options(),
        "[-1, 1]",
    )
    refused(
        normals.read,
        png(tmp_path / "c.png", np.ones((8, 9), np.uint8)),
        normals.Options(),
        "three channels",
    )


def test_normals_with_their_channels_first_or_in_a_batch_of_one_are_read(tmp_path):
    truth = unit((5, 6))
    for name, stored in (("a", np.moveaxis(truth, -1, 0)), ("b", truth[None].astype(np.float16))):
        label = normals.read(npy(tmp_path / f"{name}.npy", stored), normals.Options())
        assert np.abs(label.value - truth).max() < 1e-3


def test_normals_come_back_with_their_void(tmp_path):
    label = LabelArray(unit((8, 9)), RNG.random((8, 9)) > 0.4)
    for name, bound in (("a.npy", 1e-6), ("a.png", 4e-5)):
        normals.write(tmp_path / name, label, normals.Options())
        again = normals.read(tmp_path / name, normals.Options())
        assert (again.valid == label.valid).all()
        assert np.abs(again.value - label.value)[label.valid].max() < bound


def _store_normals(path: Path, axes: str) -> LabelArray:
    """Write normals of a length within, at and beyond the tolerance, and some voids; return them."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(700, 900, 3))
    vectors[..., AXES[axes][2][0]] = 3 * AXES[axes][2][1]
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors[400:] *= rng.choice([0.95, 1.0, 1.05], (300, 900, 1), p=[0.005, 0.99, 0.005])
    stored = np.rint((np.clip(vectors, -1, 1) + 1) * 32767.5).astype(np.uint16)
    stored[500:600, :300] = 32767
    cv2.imwrite(str(path), stored[..., ::-1])
    parts = stored.astype(np.float32) / np.float32(32767.5) - np.float32(1)
    length = np.sqrt(parts[..., 0] ** 2 + parts[..., 1] ** 2 + parts[..., 2] ** 2)
    valid = np.abs(length - 1) <= 0.05
    parts *= np.where(valid, 1 / np.where(valid, length, 1), 0).astype(np.float32)[..., None]
    turned = [sign * parts[..., channel] for channel, sign in AXES[axes]]
    return LabelArray(np.stack(turned, -1), valid)


@pytest.mark.parametrize("axes", [normals.Options().axes, AWAY])
def test_normals_are_decoded_when_they_are_asked_for_and_are_the_same(
    tmp_path: Path, axes: str
) -> None:
    path = tmp_path / "normals.png"
    expected = _store_normals(path, axes)
    label = normals.read(path, normals.Options(axes=axes))
    few = label.sample()
    assert few.size == (350, 450) and "value" not in vars(label)
    np.testing.assert_array_equal(few.value, expected.sample().value)
    assert label.sample() is few
    copied = pickle.loads(pickle.dumps(label))  # noqa: S301 written here
    for one in (label, copied, replace(label, annotated=None)):
        np.testing.assert_array_equal(one.value, expected.value)
        np.testing.assert_array_equal(one.valid, expected.valid)
        np.testing.assert_array_equal(one.part(slice(9), slice(7)).value, expected.value[:9, :7])
    with pytest.raises(AttributeError):
        label.values  # noqa: B018


def test_an_import_decodes_no_whole_map_of_normals_of_which_it_looks_at_a_part(
    tmp_path: Path,
) -> None:
    path = tmp_path / "normals.png"
    _store_normals(path, normals.Options().axes)
    task = TaskDef.of(TaskRow("normals", "normals", 1.0))
    label = task.read(path)
    cell = Cell("a.png", "normals")
    summaries = Summaries({"normals": task}, [cell])
    overview = task.overview()
    overview.add("a.png", label)
    summaries.add(cell, label)
    assert summaries.made[cell] is not None and "value" not in vars(label)
