"""Equal pixels in another type of PNG are the same label, in every reader of colours and indices."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.answers import ImportRefused
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import codec, options_of
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import State, TaskRow
from tests.campaigns import make_project
from tests.support import make_dataset

SIZE = (8, 12)
TOP = (slice(0, 3), slice(None))


def made(top: tuple[int, int, int], rest: tuple[int, int, int]) -> Image.Image:
    pixels = np.full((*SIZE, 3), rest, np.uint8)
    pixels[TOP] = top
    return Image.fromarray(pixels)


def transparent(picture: Image.Image, alpha: int) -> Image.Image:
    picture = picture.convert("RGBA")
    picture.putalpha(
        Image.fromarray(np.where(np.arange(12) < 4, alpha, 255)[None].repeat(8, 0).astype(np.uint8))
    )
    return picture


def indices(picture: Image.Image) -> Image.Image:
    """With a palette whose first colour is that of the last rows."""
    colours = [picture.getpixel((0, 7)), picture.getpixel((0, 0))]
    found = Image.fromarray((np.arange(8)[:, None] < 3).repeat(12, 1).astype(np.uint8))
    found.putpalette([channel for colour in colours for channel in colour[:3]])  # type: ignore
    return found


OTHERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "palette": indices,
    "opaque": lambda picture: picture.convert("RGBA"),
    "quantised": lambda picture: picture.quantize(4),
}
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
#: A codec with its options, and colours that it reads; greys are stored as such.
READERS = {
    "classes": (
        {"classes": ["a", "b"], "colours": {"a": "#c80000", "b": "#ffff00"}},
        (200, 0, 0),
        (255, 255, 0),
    ),
    "normals": ({"axes": "x right, y up, z toward the camera"}, (255, 128, 128), (128, 128, 255)),
    "binary": ({}, BLACK, WHITE),
    "depth": ({"scale": 0.01}, (40, 40, 40), (200, 200, 200)),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("other", OTHERS)
def test_a_label_is_the_same_in_another_type_of_png(tmp_path: Path, name: str, other: str) -> None:
    values, top, rest = READERS[name]
    options = options_of(name, values, "")
    picture = made(top, rest)
    plain = picture.convert("L") if top[0] == top[1] == top[2] else picture
    plain.save(tmp_path / "plain.png")
    OTHERS[other](picture).save(tmp_path / "other.png")
    expected = codec(name).read(tmp_path / "plain.png", options)
    found = codec(name).read(tmp_path / "other.png", options)
    assert (found.valid == expected.valid).all() and found.valid.all()
    assert np.allclose(found.value, expected.value) and len(np.unique(found.value)) > 1


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("alpha", [0, 254])
def test_what_is_transparent_is_refused_with_the_cure(
    tmp_path: Path, name: str, alpha: int
) -> None:
    values, top, rest = READERS[name]
    transparent(made(top, rest), alpha).save(tmp_path / "a.png")
    with pytest.raises(LabelError, match=r"(?s)no transparency; 33\.3%.*without an alpha channel"):
        codec(name).read(tmp_path / "a.png", options_of(name, values, ""))


@pytest.mark.parametrize("name", ["classes", "binary", "depth"])
def test_an_index_beyond_its_palette_is_damage(tmp_path: Path, name: str) -> None:
    options = options_of(
        name, READERS[name][0] if name != "classes" else {"classes": list("abcdefgh")}, ""
    )
    pixels = np.arange(96, dtype=np.uint8).reshape(SIZE) % 8
    picture = Image.fromarray(pixels)
    picture.putpalette([channel for grey in range(5) for channel in (grey, 2 * grey, 3)])
    picture.save(tmp_path / "a.png")
    with pytest.raises(LabelError, match="index 7, and its palette has 5 colours"):
        codec(name).read(tmp_path / "a.png", options)


def panoptic(out: Path, picture: Image.Image) -> None:
    (out / "p").mkdir(parents=True)
    picture.save(out / "p" / "0000.png")
    keys = [red + 256 * green + 65536 * blue for red, green, blue in ((7, 1, 0), (9, 0, 2))]
    segments = [{"id": key, "category_id": number} for number, key in enumerate(keys)]
    image = {"id": 1, "file_name": "0000.jpg", "height": SIZE[0], "width": SIZE[1]}
    annotation = {"image_id": 1, "file_name": "0000.png", "segments_info": segments}
    categories = [{"id": number, "name": name} for number, name in enumerate(("a", "b"))]
    data = {"images": [image], "annotations": [annotation], "categories": categories}
    (out / "p.json").write_text(json.dumps(data))


def voc(out: Path, picture: Image.Image) -> None:
    (out / "SegmentationClass").mkdir(parents=True)
    picture.save(out / "SegmentationClass" / "0000.png")
    (out / "labelmap.txt").write_text("a:7,1,0::\nb:9,0,2::\n")


TOOLS = (panoptic, voc)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.parametrize("other", [*OTHERS, "transparent"])
def test_a_tool_s_colours_are_the_same_in_another_type_of_png(
    tmp_path: Path, tool: Callable[[Path, Image.Image], None], other: str
) -> None:
    data = make_dataset(tmp_path / "made", n=1, size=SIZE, tasks=())
    project = make_project(tmp_path / "project", data)
    project.store.add_task(TaskRow("semseg", "semseg", 1.0, {"classes": ["a", "b"]}))
    picture = made((7, 1, 0), (9, 0, 2))
    if other == "transparent":
        tool(tmp_path / "out", transparent(picture, 100))
        with pytest.raises(ImportRefused, match="Save it without an alpha channel"):
            import_labels(project, tmp_path / "out")
        return
    tool(tmp_path / "out", OTHERS[other](picture))
    import_labels(project, tmp_path / "out", accept=True)
    (row,) = project.store.cells(state=State.LABELLED)
    label = project.tasks()["semseg"].read(project.inside(row.path))
    assert label.valid.all()
    assert (label.value[TOP] == 0).all() and (label.value[3:] == 1).all()


@pytest.mark.parametrize("inverted", [False, True])
def test_a_mask_of_black_and_white_is_read_by_what_it_shows(tmp_path: Path, inverted: bool) -> None:
    data = make_dataset(tmp_path / "made", n=1, size=SIZE, tasks=())
    project = make_project(tmp_path / "project", data)
    project.store.add_task(TaskRow("semseg", "semseg", 1.0, {"classes": ["a", "b"]}))
    out = tmp_path / "out"
    out.mkdir()
    picture = indices(made(BLACK, WHITE) if inverted else made(WHITE, BLACK))
    picture.save(out / "0000_b.png")
    import_labels(project, out, format="class_masks", accept=True)
    (row,) = project.store.cells(state=State.LABELLED)
    label = project.tasks()["semseg"].read(project.inside(row.path))
    rows = slice(3, 8) if inverted else slice(0, 3)
    expected = np.zeros(SIZE, np.bool_)
    expected[rows] = True
    assert (label.valid == expected).all() and (label.value[expected] == 1).all()
