"""Laws of the channels of EXR files: those that renderers name are found, and several are named."""

import numpy as np
import pytest

from labelgrid.formats.codecs import depth, normals
from labelgrid.formats.exr_channels import normal_names
from tests.unit.formats.exr_files import exr
from tests.unit.formats.label_files import refused

METRES = np.full((4, 5), 2, np.float32)
COLOUR = {name: np.full((4, 5), i / 4, np.float32) for i, name in enumerate("RGBA")}
FACING = {"X": METRES * 0, "Y": METRES * 0, "Z": METRES / 2}


def named(prefix: str, channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {prefix + name: array for name, array in channels.items()}


@pytest.mark.parametrize(
    "name", ["Z", "V", "View Layer.Depth.Z", "ViewLayer.Depth.V", "Depth.V", "depth"]
)
def test_depth_is_found_beside_colours_by_its_name(tmp_path, name):
    path = exr(tmp_path / "a.exr", {**COLOUR, name: METRES, "ViewLayer.Mist.Z": METRES / 9})
    assert depth.read(path, depth.Options()).value.max() == 2


@pytest.mark.parametrize("names", ["Y", "RGB", "RGBA", "U"])
def test_depth_is_grey_or_three_equal_colours_or_the_only_channel(tmp_path, names):
    path = exr(tmp_path / "a.exr", dict.fromkeys(names, METRES))
    assert depth.read(path, depth.Options()).value.max() == 2


def test_colours_that_differ_are_no_depth(tmp_path):
    refused(depth.read, exr(tmp_path / "a.exr", COLOUR), depth.Options(), "R, G and B differ")


def test_several_depths_are_named_with_the_option_that_says_which(tmp_path):
    channels = {"Left.Depth.Z": METRES, "Right.Depth.Z": METRES + 1}
    path = exr(tmp_path / "a.exr", channels)
    words = ("Left.Depth.Z, Right.Depth.Z", 'channel = "Left.Depth.Z"')
    refused(depth.read, path, depth.Options(), *words)
    assert depth.read(path, depth.Options(channel="Right.Depth.Z")).value.max() == 3
    refused(depth.read, path, depth.Options(channel="Z"), "no channel 'Z'", "Left.Depth.Z")


def test_a_file_without_depth_is_refused_with_the_names_of_its_channels(tmp_path):
    path = exr(tmp_path / "a.exr", {"Mist.Z": METRES, "Position.X": METRES})
    refused(depth.read, path, depth.Options(), "None of its channels", "Mist.Z, Position.X")


def test_what_a_renderer_writes_where_a_ray_meets_nothing_is_not_measured(tmp_path):
    stored = METRES.copy()
    stored[0, :4] = (1e10, np.inf, 0, np.nan)
    label = depth.read(exr(tmp_path / "a.exr", {"Z": stored}), depth.Options())
    assert label.valid[0].tolist() == [False, False, False, False, True]
    assert label.valid[1:].all()


@pytest.mark.parametrize("prefix", ["", "Normal.", "View Layer.Normal.", "normals.", "N."])
def test_normals_are_found_beside_colours_by_their_names(tmp_path, prefix):
    path = exr(tmp_path / "a.exr", {**COLOUR, **named(prefix, FACING)})
    assert normals.read(path, normals.Options()).value[0, 0].tolist() == [0, 0, 1]


def test_normals_are_the_colours_of_a_file_that_has_no_others(tmp_path):
    channels = {"R": FACING["X"], "G": FACING["Y"], "B": FACING["Z"], "Position.X": METRES}
    path = exr(tmp_path / "a.exr", channels)
    assert normals.read(path, normals.Options()).value[0, 0].tolist() == [0, 0, 1]


def test_several_normals_are_named_with_the_option_that_says_which(tmp_path):
    up = {"X": FACING["X"], "Y": FACING["Z"], "Z": FACING["X"]}
    path = exr(tmp_path / "a.exr", {**named("A.Normal.", FACING), **named("B.Normal.", up)})
    words = ("A.Normal.XYZ, B.Normal.XYZ", 'channel = "A.Normal.XYZ"')
    refused(normals.read, path, normals.Options(), *words)
    options = normals.Options(channel="B.Normal.XYZ")
    assert normals.read(path, options).value[0, 0].tolist() == [0, 1, 0]


def test_vectors_that_are_no_normals_are_not_taken_for_them():
    assert normal_names(["Position.X", "Position.Y", "Position.Z"]) == {}


@pytest.mark.parametrize(
    ("channels", "of_depth", "of_normals"),
    [
        ({"Z": METRES}, True, False),
        (FACING, False, True),
        (COLOUR, True, True),
        ({"Mist.Z": METRES, "Mist.W": METRES}, False, False),
    ],
)
def test_a_file_is_recognised_by_its_channels(tmp_path, channels, of_depth, of_normals):
    path = exr(tmp_path / "a.exr", channels)
    answers = {"depth": depth.recognise(path), "normals": normals.recognise(path)}
    assert (answers["depth"] is not None) == of_depth
    assert (answers["normals"] is not None) == of_normals
