"""Laws of class maps whose files hold other numbers than indices, or colours, in any kind of file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import EmptyLabelError, LabelError, RecipeError
from labelgrid.formats.codec import LabelArray, options_of
from labelgrid.formats.codecs import classes
from labelgrid.formats.numbering import IGNORE, NOT_LABELLED, UNKNOWN, look_up_numbers
from tests.unit.formats.label_files import npy, png, refused

COVERS = [
    "labelgrid.formats.class_faults",
    "labelgrid.formats.codecs.classes",
    "labelgrid.formats.channels",
    "labelgrid.formats.colours",
    "labelgrid.formats.numbering",
]
ROOM = ("wall", "floor", "bed")
COLOURS = {"wall": "#800000", "floor": ["#008000", "#00ff00"], "bed": "#000080"}
INDEX = np.array([[0, 1, 2, 1], [2, 2, 0, 0]], np.uint8)


def options(names: tuple[str, ...] = ROOM, **values: object) -> classes.Options:
    """Options as a file of tasks gives them."""
    made: classes.Options = options_of("classes", {"classes": names, **values}, "task 'semseg'")
    return made


def picture(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def read(path: Path, **values: object) -> list[list[int]]:
    """The indices in a file; -1 where not labelled."""
    label = classes.read(path, options(**values))
    found: list[list[int]] = np.where(label.valid, label.value[..., 0], -1).tolist()
    return found


# --- kinds of files


def test_any_kind_of_file_with_the_same_numbers_is_the_same_label(tmp_path: Path) -> None:
    palette = Image.fromarray(INDEX)
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    paths = [tmp_path / f"palette{extension}" for extension in (".png", ".bmp", ".tif")]
    for path in paths:
        palette.save(path)
    paths += [picture(tmp_path / name, INDEX) for name in ("a.png", "a.bmp", "a.tif", "a.tiff")]
    wide = INDEX.astype(np.uint16)
    paths += [picture(tmp_path / "wide.tif", wide), png(tmp_path / "wide.png", wide)]
    for dtype in (np.int8, np.uint8, ">u2", np.int32, np.int64, np.uint64):
        paths.append(npy(tmp_path / f"{np.dtype(dtype).name}.npy", INDEX.astype(dtype)))
    assert {str(read(path)) for path in paths} == {str(INDEX.tolist())}


@pytest.mark.parametrize("mode", ["RGB", "LA", "RGBA"])
@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_equal_channels_and_opaque_alpha_are_one_number(
    tmp_path: Path, mode: str, extension: str
) -> None:
    path = picture(tmp_path / f"a{extension}", INDEX, mode)
    assert read(path) == INDEX.tolist()


def test_transparent_pixels_are_refused_with_their_share(tmp_path: Path) -> None:
    alpha = np.full_like(INDEX, 255)
    alpha[0, 0] = 254
    path = picture(tmp_path / "a.png", np.dstack([INDEX] * 3 + [alpha]))
    refused(classes.read, path, options(), "12.5% of the pixels of this one are transparent")


def test_numbers_that_are_no_map_of_whole_ones_are_refused(tmp_path: Path) -> None:
    for array in (INDEX.astype(np.float32), np.zeros(4, int), np.zeros((2, 3, 5), int)):
        with pytest.raises(LabelError, match=r"whole numbers|channels of colour"):
            classes.read(npy(tmp_path / "a.npy", array), options())


def test_far_numbers_are_refused_as_they_are(tmp_path: Path) -> None:
    for dtype, far in ((np.int64, -(2**40)), (np.int64, 2**40), (np.uint64, 2**63 + 1)):
        path = npy(tmp_path / "a.npy", np.array([[0, far]], dtype))
        refused(classes.read, path, options(), f"{far} (1 pixel)")


# --- first, ids


def test_classes_that_count_from_a_number_leave_smaller_ones_unlabelled(tmp_path: Path) -> None:
    stored = np.array([[0, 1, 2, 3], [3, 255, 1, 1]], np.uint8)
    assert read(png(tmp_path / "a.png", stored), first=1) == [[-1, 0, 1, 2], [2, -1, 0, 0]]
    assert read(npy(tmp_path / "a.npy", np.array([[-7, 1, 3]])), first=1) == [[-1, 0, 2]]
    refused(
        classes.read,
        png(tmp_path / "a.png", np.array([[4]], np.uint8)),
        options(first=1),
        "4 (1 pixel): its 3 classes are 1 to 3",
    )


def test_ids_name_the_class_of_each_number_and_no_other_one_is_accepted(tmp_path: Path) -> None:
    ids = {"7": "wall", "255": "floor", "9": "bed", "8": "bed", "0": IGNORE}
    path = png(tmp_path / "a.png", np.array([[7, 255], [9, 8], [0, 7]], np.uint8))
    assert read(path, ids=ids) == [[0, 1], [2, 2], [-1, 0]]
    words = refused(
        classes.read, png(path, np.array([[7, 3]], np.uint8)), options(ids=ids), "3 (1 pixel)"
    )
    assert '{3 = "ignore"}' in words


def test_numbers_that_nobody_names_are_the_usual_ones_for_not_labelled(tmp_path: Path) -> None:
    ids = {"0": "wall", "1": "floor", "2": "bed"}
    for dtype, void in ((np.uint8, 255), (np.uint16, 65535)):
        path = png(tmp_path / "a.png", np.array([[0, void]], dtype))
        assert read(path, ids=ids) == [[0, -1]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"first": 1, "ids": {"1": "wall"}}, "first and ids exclude each other"),
        ({"first": -1}, "first must be from 0 to 65535"),
        ({"ids": {"7": "road"}}, "ids names 'road', which is no class of the task"),
        ({"ids": {"7.5": "wall"}}, "a number in ids is a whole one from -32768 to 65535"),
        ({"ids": {"07": "wall"}}, "it is '07'"),
        ({"ids": {"7": "wall"}}, "ids lacks floor, bed"),
        ({"ids": {"-1": "wall", "1": "floor", "2": "bed"}}, "ids lacks wall"),
        ({"colours": {"wall": "#000000"}}, "colours lacks floor, bed"),
        ({"colours": {**COLOURS, "wall": "red"}}, "a colour is written as #rrggbb"),
        ({"colours": {**COLOURS, "bed": "#800000"}}, "gives #800000 to 'wall' and to 'bed'"),
        ({"colours": COLOURS, "ignore": [3]}, "ignore has no effect with ids or colours"),
    ],
)
def test_options_that_cannot_be_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        options(**values)
    assert words in str(caught.value)


def test_a_class_called_ignore_cannot_be_named_in_ids() -> None:
    with pytest.raises(RecipeError, match="no class can be called 'ignore'"):
        options(("wall", IGNORE), ids={"0": "wall", "1": IGNORE})


# --- colours


def coloured(*colours: str) -> np.ndarray:
    """One row of pixels."""
    rgb = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in colours]
    return np.array([rgb], np.uint8)


def test_colours_say_the_class_in_any_kind_of_file(tmp_path: Path) -> None:
    pixels = coloured("#800000", "#00ff00", "#000080", "#ffffff", "#008000")
    paths = [picture(tmp_path / name, pixels) for name in ("a.png", "a.bmp", "a.tif")]
    paths += [picture(tmp_path / "alpha.png", pixels, "RGBA"), npy(tmp_path / "a.npy", pixels)]
    palette = Image.fromarray(pixels).quantize(8)
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "palette.bmp")
    paths += [tmp_path / "palette.png", tmp_path / "palette.bmp"]
    named = {**COLOURS, IGNORE: "#ffffff"}
    for path in paths:
        assert read(path, colours=named) == [[0, 1, 2, -1, 1]]


def test_grey_is_a_colour_too(tmp_path: Path) -> None:
    greys = {"wall": "#000000", "floor": "#808080", "bed": "#ffffff"}
    path = picture(tmp_path / "a.png", np.array([[0, 128, 255]], np.uint8))
    assert read(path, colours=greys) == [[0, 1, 2]]


def test_an_unknown_colour_is_refused_with_its_pixels_and_the_nearest(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", coloured("#800000", "#7f0000", "#7f0000"))
    refused(
        classes.read,
        path,
        options(colours=COLOURS),
        "#7f0000 (2 pixels; the nearest is #800000, 'wall')",
        '`ignore = ["#7f0000"]`',
    )
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    path = picture(tmp_path / "noise.png", noise)
    refused(classes.read, path, options(colours=COLOURS), "and 59 more", "smooth change of size")


def test_colours_of_16_bits_are_refused(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint16))
    refused(classes.read, path, options(colours=COLOURS), "has 8 bits a channel")


# --- what is written is read


VARIANTS: dict[str, dict[str, Any]] = {
    "indices": {},
    "from one": {"first": 1},
    "from 300": {"first": 300},
    "ids": {"ids": {"7": "wall", "255": "floor", "0": "bed", "3": "bed"}},
    "ids with both ends": {"ids": {"0": "wall", "255": "floor", "65535": "bed", "9": IGNORE}},
    "ids and a merge": {"ids": {"7": "wall", "8": "floor", "9": "bed"}, "merge": {"bed": "wall"}},
    "ids without a merged class": {"ids": {"7": "wall", "8": "floor"}, "merge": {"bed": "wall"}},
    "colours": {"colours": {**COLOURS, IGNORE: "#ffffff"}},
    "colours and a merge": {
        "colours": {**COLOURS, IGNORE: "#ffffff"},
        "merge": {"wall": "bed"},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_written_label_is_read_as_it_was(tmp_path: Path, variant: str) -> None:
    declared = options(**VARIANTS[variant])
    rng = np.random.default_rng(0)
    for share in (1.0, 0.5):
        value = rng.integers(0, len(declared.names), (6, 5, 1))
        valid = rng.random((6, 5)) < share
        classes.write(
            tmp_path / "a.png", LabelArray(np.where(valid[..., None], value, -1), valid), declared
        )
        again = classes.read(tmp_path / "a.png", declared)
        assert (again.valid == valid).all()
        assert (again.value == value)[valid].all()


def test_of_two_classes_only_the_first_and_no_label_come_back(tmp_path: Path) -> None:
    valid = np.array([[True, False]])
    two = options(("no", "yes"))
    classes.write(tmp_path / "a.png", LabelArray(np.zeros((1, 2, 1), int), valid), two)
    assert classes.read(tmp_path / "a.png", two).valid.tolist() == valid.tolist()


def test_what_no_number_or_colour_can_say_is_not_written(tmp_path: Path) -> None:
    gap = LabelArray(np.zeros((1, 2, 1), int), np.array([[True, False]]))
    full = {"0": "wall", "255": "floor", "65535": "bed"}
    with pytest.raises(LabelError, match="Name one in `ids` as 'ignore'"):
        classes.write(tmp_path / "a.png", gap, options(ids=full))
    with pytest.raises(LabelError, match="no colour means that") as caught:
        classes.write(tmp_path / "a.png", gap, options(colours=COLOURS))
    assert not list(tmp_path.iterdir())
    classes.write(tmp_path / "a.png", gap, options(**caught.value.declare))
    assert read(tmp_path / "a.png", **caught.value.declare) == [[0, -1]]


def test_annotators_are_told_the_numbers_or_the_colours(tmp_path: Path) -> None:
    assert classes.describe(options(first=1)).splitlines()[1:] == [
        "    1  wall",
        "    2  floor",
        "    3  bed",
    ]
    assert "an index from 1 a pixel. Not labelled: below 1, 255" in classes.describe(
        options(first=1)
    )
    ids = {"255": "wall", "7": "floor", "8": "bed", "0": IGNORE}
    text = classes.describe(options(ids=ids))
    assert "Not labelled: 0." in text and "  255  wall\n    7  floor\n" in text
    text = classes.describe(options(colours={**COLOURS, IGNORE: "#ffffff"}))
    assert "#008000  floor\n#00ff00  floor\n" in text and "#ffffff  not labelled" in text


def test_a_look_up_is_that_of_a_dictionary() -> None:
    places = {-3: 5, 0: 1, 7: NOT_LABELLED, 300: 2}
    rng = np.random.default_rng(0)
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64):
        limits = np.iinfo(dtype)
        numbers = rng.integers(limits.min, limits.max, 200, dtype, endpoint=True)
        numbers[:40] = rng.integers(max(-9, limits.min), min(400, limits.max), 40).astype(dtype)
        for below in (None, 4):
            expected = []
            for number in numbers.tolist():
                small = NOT_LABELLED if below and number < below else UNKNOWN
                expected.append(places.get(number, small))
            assert look_up_numbers(numbers, places, below).tolist() == expected


# --- hints


def from_hint(error: LabelError, key: str) -> Mapping[str, object]:
    """An option that an error advises to declare, as it goes through the command line."""
    value = json.loads(json.dumps(error.declare[key]))
    if key == "classes":
        return {"names": (*ROOM, *value)}
    return {key: value}


def test_each_hint_about_numbers_without_a_class_cures_it(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.array([[0, 1, 2, 3]], np.uint8))
    with pytest.raises(LabelError) as caught:
        classes.read(path, options())
    assert "`first = 1`" in str(caught.value) and "`ignore = [3]`" in str(caught.value)
    assert "add the missing class to `classes`" in str(caught.value)
    labels = {key: str(read(path, **from_hint(caught.value, key))) for key in caught.value.declare}
    assert labels == {
        "first": "[[-1, 0, 1, 2]]",
        "classes": "[[0, 1, 2, 3]]",
        "ignore": "[[0, 1, 2, -1]]",
    }


def test_hints_keep_what_is_declared_and_name_every_number(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.array([[0, 5, 7, 9]], np.uint8))
    with pytest.raises(LabelError) as caught:
        classes.read(path, options(ignore=[9]))
    assert caught.value.declare == {
        "classes": [f"NAME{k}" for k in range(1, 6)],
        "ignore": [9, 5, 7],
    }
    assert read(path, **from_hint(caught.value, "ignore")) == [[0, -1, -1, -1]]
    ids = {"0": "wall", "5": "floor", "7": "bed"}
    with pytest.raises(LabelError) as caught:
        classes.read(path, options(ids=ids))
    assert read(path, **from_hint(caught.value, "ids")) == [[0, 1, 2, -1]]


def test_a_hint_that_cannot_cure_is_not_given(tmp_path: Path) -> None:
    many = png(tmp_path / "a.png", np.arange(3, 22, dtype=np.uint8)[None])
    with pytest.raises(LabelError, match="add the 19 missing classes") as caught:
        classes.read(many, options())
    assert caught.value.declare == {}
    alone = png(tmp_path / "b.png", np.full((1, 2), 9, np.uint8))
    with pytest.raises(LabelError) as caught:
        classes.read(alone, options())
    assert set(caught.value.declare) == set()


def test_very_many_indices_without_a_class_come_from_a_smooth_change_of_size(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    index = rng.choice(np.array([0, 1, 2, 255], np.uint8), (12, 16))
    resized = Image.fromarray(index).resize((64, 48), Image.Resampling.BILINEAR)
    resized.save(tmp_path / "a.png")
    with pytest.raises(LabelError, match="So many come from a smooth change of size") as caught:
        classes.read(tmp_path / "a.png", options())
    assert "add the missing classes to" in str(caught.value)
    assert caught.value.declare == {}


def test_each_hint_about_colours_cures_it(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", coloured("#800000", "#7f0000", "#00000f"))
    with pytest.raises(LabelError) as caught:
        classes.read(path, options(colours={**COLOURS, IGNORE: "#00000f"}))
    assert read(path, **from_hint(caught.value, "colours")) == [[0, -1, -1]]


def test_0_and_255_alone_of_two_classes_are_refused_until_they_are_declared(tmp_path: Path) -> None:
    stored = np.array([[0, 255, 255, 0]])
    paths = [png(tmp_path / "a.png", stored.astype(np.uint8)), npy(tmp_path / "a.npy", stored)]
    paths.append(picture(tmp_path / "rgb.png", stored.astype(np.uint8), "RGB"))
    two = ("background", "object")
    for path in paths:
        with pytest.raises(LabelError) as caught:
            classes.read(path, options(two))
        assert '`ids = {0 = "background", 255 = "object"}`' in str(caught.value)
        assert read(path, names=two, **from_hint(caught.value, "ids")) == [[0, 1, 1, 0]]
        assert read(path, names=two, **from_hint(caught.value, "ignore")) == [[0, -1, -1, 0]]


def test_0_and_255_are_accepted_where_they_cannot_be_two_classes(tmp_path: Path) -> None:
    assert read(png(tmp_path / "a.png", np.array([[0, 255]], np.uint8))) == [[0, -1]]
    two = ("background", "object")
    both = png(tmp_path / "a.png", np.array([[0, 1, 255]], np.uint8))
    assert read(both, names=two) == [[0, 1, -1]]
    with pytest.raises(EmptyLabelError):
        read(png(tmp_path / "a.png", np.full((1, 2), 255, np.uint8)), names=two)


def test_more_classes_than_memory_has_room_for_are_refused() -> None:
    many = tuple(map(str, range(classes.MOST + 1)))
    classes.Options(classes=many[1:])
    classes.Options(classes=many, merge={"1": "0"})
    with pytest.raises(ValueError, match="4,097 classes need more memory"):
        classes.Options(classes=many)
