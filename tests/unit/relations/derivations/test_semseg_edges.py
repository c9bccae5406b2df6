"""Laws of edges from classes: where lines run, and what lies too deep in gaps."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.relations.derivations.semseg_edges import Options, derive_edges
from tests.rooms import room_labels


def classes(text: str, rows: int = 1) -> LabelArray:
    """A label of equal rows: digits are classes, dots are not labelled."""
    line = [-1 if letter == "." else int(letter) for letter in text]
    value = np.tile(np.array(line), (rows, 1))[..., None]
    return LabelArray(value, value[..., 0] >= 0)


def edges(label: LabelArray, **options: object) -> LabelArray:
    return derive_edges(Options(**options), [label], None)  # type: ignore[arg-type]


def drawn(label: LabelArray) -> str:
    """The middle row of edges: # yes, - no, ? not valid."""
    row = label.size[0] // 2
    letters = np.where(label.value[row, :, 0] > 0.5, "#", "-")
    return "".join(np.where(label.valid[row], letters, "?"))


@pytest.mark.parametrize(
    ("side", "first", "second"),
    [
        ("either", "--#?--", "--?#--"),
        ("both", "--##--", "--##--"),
        ("first", "--#---", "--#---"),
        ("second", "---#--", "---#--"),
    ],
)
def test_the_edge_lies_on_the_side_of_the_border_that_is_asked_for(
    side: str, first: str, second: str
) -> None:
    assert drawn(edges(classes("111222"), side=side)) == first
    assert drawn(edges(classes("222111"), side=side)) == second


def test_an_edge_is_where_the_pixel_below_is_of_another_class_too() -> None:
    value = np.repeat([3, 5], 3)[:, None, None] * np.ones((1, 4, 1), np.int64)
    label = edges(LabelArray(value, np.ones((6, 4), np.bool_)))
    assert label.value[..., 0].any(1).tolist() == [False, False, True, False, False, False]
    assert label.valid.all(1).tolist() == [True, True, True, False, True, True]
    assert label.value.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "reach", "wanted"),
    [
        ("111.222", 1, "---#?--"),
        ("111..222", 1, "---#?---"),
        ("222...111", 2, "----#----"[:3] + "?#----"),
        ("111.111", 1, "-------"),
        ("111...222", 1, "--?????--"),
        ("111.......222", 2, "--?????????--"),
        ("111.222", 0, "--???--"),
    ],
)
def test_a_thin_gap_is_closed_in_its_middle_and_a_wide_one_is_not_valid(
    text: str, reach: int, wanted: str
) -> None:
    assert drawn(edges(classes(text, rows=15), reach=reach)) == wanted


def test_a_label_that_is_nowhere_valid_gives_nothing_and_one_class_no_edge() -> None:
    assert not edges(classes("......")).valid.any()
    plain = edges(classes("333333"))
    assert plain.valid.all() and not plain.value.any()


def test_nothing_is_sure_if_only_some_classes_were_annotated() -> None:
    label = classes("000111")
    for annotated in ([True, True, False], [True, True, True]):
        found = edges(replace(label, annotated=np.array(annotated)))
        assert found.valid.any() == all(annotated)


def test_in_rooms_edges_are_those_of_objects_but_between_two_of_a_class() -> None:
    hits = 0
    found = 0
    true = 0
    for index in range(12):
        labels = room_labels(index)
        edge = edges(labels["semseg"], side="first").value > 0.5
        wanted = labels["edges"].value > 0.5
        hits += np.count_nonzero(edge & wanted)
        found += np.count_nonzero(edge)
        true += np.count_nonzero(wanted)
    assert hits == found and hits / true > 0.95


def test_in_rooms_whose_borders_are_not_labelled_edges_come_back() -> None:
    near = 0
    found = 0
    for index in range(12):
        labels = room_labels(index)
        semseg = labels["semseg"]
        border = edges(semseg, side="both").value[..., 0] > 0.5
        gaps = LabelArray(np.where(border[..., None], -1, semseg.value), semseg.valid & ~border)
        label = edges(gaps)
        edge = label.value[..., 0] > 0.5
        near += np.count_nonzero(edge & border)
        found += np.count_nonzero(edge)
        assert label.valid.mean() > 0.6
    assert near / found > 0.95


def test_a_reach_outside_its_range_is_refused() -> None:
    for wrong in (-1, 51):
        with pytest.raises(ValueError, match="reach must be from 0 to 50 pixels"):
            Options(reach=wrong)
