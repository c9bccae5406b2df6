"""Images in CVAT's XML: shapes become pixels, and what cannot is refused by its name."""

from pathlib import Path

import numpy as np
import pytest

from labelgrid.annotate import cvat_xml
from labelgrid.annotate.cvat_xml import CvatImage, read_images
from labelgrid.basics.errors import LabelError
from labelgrid.formats.regions import Canvas, RegionMap

IMAGE = '<image id="0" name="a b/ä.jpg" width="40" height="30">'


def read(folder: Path, elements: str, image: str = IMAGE) -> CvatImage:
    path = folder / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{image}{elements}</image></annotations>")
    return read_images(path, "annotations.xml")[0]


def painted(image: CvatImage, *names: str) -> RegionMap:
    canvas = Canvas(image.size)
    for shape in image.shapes:
        shape.paint(canvas, names.index(shape.name))
    return canvas.regions


def test_a_mask_lies_in_its_box_row_by_row(tmp_path: Path) -> None:
    mask = '<mask label="a" rle="0, 25, 25, 25" left="5" top="2" width="25" height="3"/>'
    image = read(tmp_path, mask)
    assert (image.name, image.size) == ("a b/ä.jpg", (30, 40))
    regions = painted(image, "a")
    assert (regions >= 0).sum() == 50
    assert (regions[2, 5:30] == 0).all() and (regions[4, 5:30] == 0).all()


def test_later_regions_cover_earlier_ones_of_their_z_order_and_those_below(tmp_path: Path) -> None:
    box = '<box label="{}" xtl="{}" ytl="0" xbr="10" ybr="10" z_order="{}"/>'
    boxes = box.format("top", 4, 2) + box.format("low", 0, -1) + box.format("mid", 2, -1)
    regions = painted(read(tmp_path, boxes), "top", "low", "mid")
    assert regions[5, :10].tolist() == [1, 1, 2, 2, 0, 0, 0, 0, 0, 0]


def test_a_polygon_and_a_plain_box_of_the_same_corners_are_the_same(tmp_path: Path) -> None:
    box = painted(read(tmp_path, '<box label="a" xtl="3" ytl="4" xbr="13" ybr="9"/>'), "a")
    points = "3.00,4.00;13.00,4.00;13.00,9.00;3.00,9.00"
    polygon = painted(read(tmp_path, f'<polygon label="a" points="{points}"/>'), "a")
    assert np.array_equal(box, polygon)
    assert (box[4:9, 3:13] == 0).all() and (box >= 0).sum() == 50


def distance_of_turned_box(size: tuple[int, int], degrees: float) -> np.ndarray:
    """How far each pixel's centre is inside a box of 20x8 around (20, 15); by its definition."""
    inside = np.zeros(size)
    turn = np.deg2rad(degrees)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = column + 0.5 - 20, row + 0.5 - 15
            along = x * np.cos(turn) + y * np.sin(turn)
            across = y * np.cos(turn) - x * np.sin(turn)
            inside[row, column] = min(10 - abs(along), 4 - abs(across))
    return inside


@pytest.mark.parametrize("degrees", [30, 90, 200.5])
def test_a_box_is_turned_clockwise_around_its_centre(tmp_path: Path, degrees: float) -> None:
    box = f'<box label="a" xtl="10" ytl="11" xbr="30" ybr="19" rotation="{degrees}"/>'
    regions = painted(read(tmp_path, box), "a")
    inside = distance_of_turned_box((30, 40), degrees)
    assert (regions[inside > 0.75] == 0).all() and (regions[inside < -0.75] == -1).all()


@pytest.mark.parametrize("degrees", [0, 90, 33])
def test_an_ellipse_has_its_radii_and_is_turned(tmp_path: Path, degrees: float) -> None:
    ellipse = f'<ellipse label="a" cx="20" cy="15" rx="12" ry="5" rotation="{degrees}"/>'
    regions = painted(read(tmp_path, ellipse), "a")
    rows, columns = np.indices((30, 40)) + 0.5
    turn = np.deg2rad(degrees)
    x, y = columns - 20, rows - 15
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    assert (regions[np.hypot(along / 11, across / 4) < 1] == 0).all()
    assert (regions[np.hypot(along / 13, across / 6) > 1] == -1).all()


def test_tags_come_with_their_attributes_and_regions_with_their_sources(tmp_path: Path) -> None:
    elements = (
        '<tag label="x"><attribute name="request_id"> r1-7 </attribute></tag>'
        '<tag label="x"/>'
        '<box label="a" source="auto" xtl="0" ytl="0" xbr="1" ybr="1">'
        '<attribute name="request_id">not of a tag</attribute></box>'
    )
    image = read(tmp_path, elements)
    assert image.tags == [{"request_id": "r1-7"}, {}]
    assert image.sources == {"auto": 1}


def test_what_covers_no_pixels_is_refused_by_its_name_unless_it_is_ignored(tmp_path: Path) -> None:
    elements = (
        '<points label="nose" points="1,2"/><points label="nose" points="1,2"/>'
        '<polyline label="lane" points="1,2;3,4"/><cuboid label="box"/>'
        '<skeleton label="man"><points label="knee" points="1,2"/></skeleton><new label="b"/>'
    )
    fault = read(tmp_path, elements).as_fault()
    assert fault and fault.where == "annotations.xml, image 'a b/ä.jpg'"
    for kind in ("2 'points nose'", "'polyline lane'", "'cuboid box'", "'skeleton man'", "'new b'"):
        assert kind in fault.what
    assert "knee" not in fault.what
    ignored = frozenset({"nose", "lane", "box", "man", "b"})
    (image,) = read_images(tmp_path / "annotations.xml", "annotations.xml", ignored)
    assert image.as_fault() is None


MASK = '<mask label="a" rle="0, 6" left="{}" top="{}" width="{}" height="{}"/>'


@pytest.mark.parametrize(
    ("element", "what"),
    [
        (MASK.format(-1, 0, 3, 2), "leads out"),
        (MASK.format(0, -1, 3, 2), "leads out"),
        (MASK.format(38, 0, 3, 2), "leads out"),
        (MASK.format(0, 29, 3, 2), "leads out"),
        (MASK.format(0, 0, -3, -2), "is empty"),
        (MASK.format(0, 0, 0, 2), "is empty"),
        (MASK.format(0, 0, 10**9, 10**9), "leads out"),
        (MASK.format(0, 0, "9" * 5000, 1), "whole number"),
        (MASK.format("1.5", 0, 3, 2), "whole number"),
        (MASK.format(0, 0, 4, 2), "sum up to 6"),
        ('<mask label="a" left="0" top="0" width="1" height="1"/>', "no 'rle'"),
        ('<polygon label="a"/>', "no 'points'"),
        ('<polygon label="a" points=""/>', "no list of x,y"),
        ('<polygon label="a" points="1,2;3"/>', "no list of x,y"),
        ('<polygon label="a" points="1,2;3,4"/>', "at least three"),
        ('<polygon label="a" points="1,2;3,4;nan,5"/>', "finite"),
        ('<polygon label="a" points="1,2;3,4;inf,5"/>', "finite"),
        ('<box label="a" xtl="9" ytl="0" xbr="1" ybr="1"/>', "ends before"),
        ('<box label="a" xtl="0" ytl="9" xbr="1" ybr="1"/>', "ends before"),
        ('<box label="a" xtl="0" ytl="0" xbr="1e300" ybr="1"/>', "number of pixels"),
        ('<box label="a" xtl="0" ytl="0" xbr="1" ybr="1" rotation="nan"/>', "degrees"),
        ('<ellipse label="a" cx="1" cy="1" rx="-1" ry="1"/>', "radii"),
        ('<ellipse label="a" cx="1" cy="1" rx="1"/>', "no 'ry'"),
    ],
)
def test_a_shape_with_wrong_numbers_is_refused(tmp_path: Path, element: str, what: str) -> None:
    image = read(tmp_path, element)
    assert image.as_fault() is None
    with pytest.raises(LabelError, match=what):
        painted(image, "a")


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ('<image name="a" width="1">', "no 'height'"),
        ('<image name="a" width="1" height="x">', "whole number"),
        ('<image name="a" width="1" height="0">', "no pixels"),
        ('<image width="1" height="1">', "no name"),
    ],
)
def test_an_image_without_name_or_size_is_a_fault(tmp_path: Path, image: str, what: str) -> None:
    fault = read(tmp_path, "", image).as_fault()
    assert fault and what in fault.what


def test_a_wrong_z_order_is_a_fault(tmp_path: Path) -> None:
    fault = read(tmp_path, '<box label="a" z_order="top"/>').as_fault()
    assert fault and "z_order" in fault.what


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('<annotations><track id="0" label="a"/></annotations>', "tracks of a video"),
        ("<annotation/>", "begins with <annotation>"),
        ("<annotations><image>", "cannot be read"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(content)
    with pytest.raises(LabelError, match=what):
        read_images(path, "a.xml")


def test_images_with_too_many_regions_are_refused_before_they_are_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cvat_xml, "MOST_REGIONS", 10)
    box = '<box label="a" xtl="0" ytl="0" xbr="1" ybr="1"/>'
    assert read(tmp_path, box * 10).as_fault() is None
    image = read(tmp_path, box * 100_000)
    fault = image.as_fault()
    assert fault and "more than 10 regions" in fault.what and len(image.regions) == 10
