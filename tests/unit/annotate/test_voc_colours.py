"""Colours of Pascal VOC's masks and their names."""

from pathlib import Path

import pytest

from labelgrid.annotate.voc_colours import read_label_map, standard_names
from labelgrid.basics.errors import LabelError


def test_the_standard_map_is_vocs() -> None:
    names = {name: colour for colour, name in standard_names().items()}
    assert len(names) == 21
    known = {"background": 0, "aeroplane": 0x800000, "bicycle": 0x008000, "bird": 0x808000}
    known |= {"bottle": 0x800080, "cat": 0x400000, "person": 0xC08080, "tvmonitor": 0x004080}
    assert known.items() <= names.items()


def test_lines_are_names_and_colours_and_names_may_hold_colons(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text(
        "\ufeff# label:color_rgb:parts:actions\n\nbackground:0,0,0::\r\na: b #1 ä:1, 2,3:x,y:z\nc:255,255,255\n"
    )
    assert read_label_map(path) == {0: "background", 0x010203: "a: b #1 ä", 0xFFFFFF: "c"}


def test_a_map_without_colours_has_those_of_voc_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text("# label:color_rgb:parts:actions\nbackground:::\nwall:::\nfloor:::\n")
    assert read_label_map(path) == {0: "background", 0x800000: "wall", 0x008000: "floor"}
    path.write_text("background:::\nwall:1,2,3::\n")
    with pytest.raises(LabelError, match="must be NAME:RED,GREEN,BLUE"):
        read_label_map(path)


@pytest.mark.parametrize(
    "content",
    [
        b"car\n",
        b"car:,,::\n",
        b"car::\n",
        b":1,2,3::\n",
        b"car:1,2::\n",
        b"car:1,2,256::\n",
        b"car:-1,2,3::\n",
        b"car:1,2,3::\nbus:1,2,3::\n",
        b"car:1,2,3::\ncar:1,2,4::\n",
        b"\xff\xfe\x00",
        b"{",
    ],
)
def test_other_lines_and_two_of_one_name_or_colour_are_refused(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "labelmap.txt").write_bytes(content)
    with pytest.raises(LabelError):
        read_label_map(tmp_path / "labelmap.txt")


def test_a_missing_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_label_map(tmp_path / "labelmap.txt")
