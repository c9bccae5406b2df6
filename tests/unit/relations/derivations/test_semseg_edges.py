"""Laws of edges from classes: where lines run, and what lies too deep in gaps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.prediction import one_hot
from labelgrid.relations.derivations.semseg_edges import Options, class_borders, derive_edges
from tests.rooms import room_labels

SIDES = ["either", "both", "first", "second"]


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


def row(*probabilities):
    """One row of pixels of two classes, by the probability of the first."""
    first = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([first, 1 - first])[None, :, None]


def drawn_of_class_borders(found):
    """A row of edges: # yes, - no, ? not valid."""
    letters = np.where(found.value[0, 0, 0] >= 0.5, "#", "-")
    return "".join(np.where(found.valid[0, 0, 0], letters, "?"))


@pytest.mark.parametrize("side", SIDES)
def test_certain_predictions_have_exactly_the_edges_of_such_a_label(side):
    for seed in range(5):
        classes = np.random.default_rng(seed).integers(0, 3, (4, 5))
        classes = classes.repeat(3, 0).repeat(2, 1)[..., None]
        label = LabelArray(classes, np.ones(classes.shape[:2], np.bool_))
        wanted = derive_edges(Options(side=side), [label], None)
        found = class_borders(one_hot(torch.from_numpy(classes)[None].movedim(3, 1), 3), side)
        assert np.array_equal(found.valid[0, 0].numpy(), wanted.valid)
        value = found.value[0, 0].numpy()
        assert np.array_equal(value[wanted.valid], wanted.value[..., 0][wanted.valid])


@pytest.mark.parametrize(
    ("side", "wanted"),
    [("either", "-#?--"), ("both", "-##--"), ("first", "-#---"), ("second", "--#--")],
)
def test_a_border_that_is_not_quite_certain_is_an_edge_of_less_than_one(side, wanted):
    found = class_borders(row(0.9, 0.9, 0.2, 0.2, 0.2), side)
    assert drawn_of_class_borders(found) == wanted
    assert found.value.max().item() == pytest.approx(0.7)


def test_a_soft_border_is_not_valid_and_pixels_that_are_equally_unsure_have_none():
    assert drawn_of_class_borders(class_borders(row(0.7, 0.7, 0.4, 0.4), "both")) == "-??-"
    assert drawn_of_class_borders(class_borders(row(0.95, 0.95, 0.51, 0.51), "both")) == "----"
    assert drawn_of_class_borders(class_borders(row(0.5, 0.5, 0.5), "both")) == "---"


def test_a_class_that_fades_by_half_without_another_one_is_not_valid():
    sure, unsure = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0.4, 0.3, 0.2, 0.1])
    found = class_borders(torch.stack([sure, sure, unsure, unsure], 1)[None, :, None], "both")
    assert drawn_of_class_borders(found) == "-??-"


def test_the_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: class_borders(x.softmax(1), "both").value, raw)


def test_what_is_not_finite_is_not_valid_and_neither_are_the_pixels_beside_it():
    probabilities = row(1.0, 1.0, float("nan"), 1.0, 1.0).requires_grad_()
    found = class_borders(probabilities, "both")
    assert drawn_of_class_borders(found) == "-???-"
    found.value.sum().backward()
    assert probabilities.grad is not None and probabilities.grad.isfinite().all()


@pytest.mark.parametrize("side", SIDES)
def test_a_map_of_one_pixel_has_no_edge(side):
    found = class_borders(torch.full((1, 3, 1, 1), 1 / 3), side)
    assert found.valid.all() and not found.value.any()
