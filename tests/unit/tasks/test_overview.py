"""Overviews of labels: numbers equal to those of all pixels at once, and quantiles as exact as promised."""

from typing import Any

import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.overview import LogHistogram, Overview, percent, two_digits
from labelgrid.tasks.task import TaskDef

NAMES = ["wall", "floor", "hat"]


def overview(kind: str, **options: Any) -> Overview:
    return TaskDef.of(TaskRow("mine", kind, 1.0, options)).overview()


def label(value: Any, valid: Any = True, annotated: Any = None) -> LabelArray:
    array = np.asarray(value)
    array = array.reshape(*array.shape[:2], -1)
    return LabelArray(array, np.broadcast_to(valid, array.shape[:2]).copy(), annotated)


def fill(found: Overview, *labels: LabelArray) -> Overview:
    for number, each in enumerate(labels):
        found.add(f"{number}.jpg", each)
    return found


@pytest.mark.parametrize("spread", [0.1, 2.0, 10.0])
def test_quantiles_are_wrong_by_less_than_half_a_percent_in_numbers_of_any_size(
    spread: float,
) -> None:
    values = np.exp(np.random.default_rng(5).normal(0, spread, 100_001)).astype(np.float32)
    shares = (0.0, 0.05, 0.5, 0.95, 1.0)
    histogram = LogHistogram()
    for part in np.array_split(values, 7):
        histogram.add(part)
    exact = np.quantile(values, shares, method="inverted_cdf")
    assert np.abs(np.array(histogram.quantiles(shares)) / exact - 1).max() < 0.004


def test_a_histogram_without_numbers_has_no_quantiles() -> None:
    assert np.isnan(LogHistogram().quantiles((0.5,))).all()


def test_depth_tells_median_range_and_what_was_measured_over_all_labels() -> None:
    near = label(np.full((2, 5), 1.0, np.float32), [[True] * 5, [False] * 5])
    far = label(np.linspace(2, 3, 10, dtype=np.float32).reshape(2, 5))
    found = fill(overview("depth"), near, far)
    assert found.text() == "median 2.2 m (5–95 %: 1–3), 75 % of pixels measured"
    whole = fill(overview("depth"), label(np.array([[0.251, 0.25, 0.249, 0.25]], np.float32)))
    assert ", read as millimetres (centimetres: 2.5 m, 1/256 m: 0.98 m), 100 %" in whole.text()
    values = found.values()
    assert (values["lowest"], values["highest"], values["measured"]) == (1.0, 3.0, 0.75)
    assert values["unit"] == "m" and values["median"] == pytest.approx(2.22, rel=0.004)
    assert list(found.remarks()) == ["1 of 2 new labels hold one value everywhere: 0.jpg."]


def test_a_disparity_has_no_unit_and_near_is_its_largest() -> None:
    values = label(np.linspace(10, 20, 100).reshape(10, 10))
    found = fill(overview("depth", disparity=True), values)
    assert found.text() == "median 15 (5–95 %: 10–19), 100 % of pixels measured"
    assert list(found.remarks()) == []
    near, far = found.limits() or (0, 0)
    assert near > far
    assert found.legend(None).ends == ("near: 20", "far: 10")


def test_classes_tell_shares_of_labelled_pixels_largest_first() -> None:
    found = fill(overview("semseg", classes=NAMES), label([[1, 1, 0, 9]], [[True] * 3 + [False]]))
    assert found.text() == "2 of 3 classes; floor 67 %, wall 33 %; 25 % not labelled"
    assert found.values() == {"shares": {"floor": 2 / 3, "wall": 1 / 3}, "not_labelled": 0.25}
    assert dict(found.names()) == {"wall": True, "floor": True, "hat": False}
    assert [name for _, name in found.legend(None).swatches] == ["floor", "wall"]
    assert list(found.remarks()) == []


def test_merged_classes_count_as_the_one_that_is_left() -> None:
    found = fill(overview("semseg", classes=NAMES, merge={"hat": "wall"}), label([[0, 1]]))
    assert list(found.names()) == ["wall", "floor"] and "2 of 2" in found.text()


def test_of_many_classes_the_largest_are_named() -> None:
    names = [f"c{number}" for number in range(8)]
    found = fill(overview("semseg", classes=names), label(np.arange(8).reshape(2, 4)))
    assert found.text().startswith("8 of 8 classes; c0 12 %, c1 12 %") and "c5" not in found.text()
    assert found.text().endswith(", …")


def test_labels_of_one_class_and_of_some_classes_are_remarked() -> None:
    some = label([[1, 1]], annotated=np.array([True, True, False]))
    assert list(fill(overview("semseg", classes=NAMES), some, label([[1, 1]])).remarks()) == [
        "all labelled pixels of the new labels are of one class, 'floor'.",
        "in 1 of 2 new labels only some of the classes were annotated.",
    ]


def test_normals_tell_the_mean_direction_and_the_share_without() -> None:
    up = [0.0, 1.0, 0.0]
    front = [0.0, 0.0, 1.0]
    found = fill(overview("normals"), label([[up, front, front, front]], [[True] * 3 + [False]]))
    assert found.text() == (
        "mean direction: right 0.00 (left half 0.00, right half 0.00), up 0.33, toward the camera "
        "0.67; 25 % of pixels without"
    )
    inward = label([[[1.0, 0.0, 0.0], front, front, [-1.0, 0.0, 0.0]]])
    assert "(left half 0.50, right half -0.50)" in fill(overview("normals"), inward).text()
    assert found.values()["up"] == pytest.approx(1 / 3) and list(found.remarks()) == []
    flat = fill(overview("normals"), label([[front, front]]), label([[front]]))
    assert list(flat.remarks()) == ["all pixels of the new labels have one direction."]


def test_the_key_of_directions_shows_each_in_the_colour_of_a_picture_of_it() -> None:
    legend = overview("normals").legend(None)
    colours = {name: colour for colour, name in legend.swatches}
    assert colours["up"] == (128, 255, 128) and colours["right"] == (255, 128, 128)
    assert legend.scale is not None
    height, width, _ = legend.scale.shape
    middle = legend.scale[height // 2, width // 2]
    assert np.abs(middle.astype(int) - colours["toward the camera"]).max() < 8


@pytest.mark.parametrize("kind", ["edges", "saliency"])
def test_binary_labels_tell_the_share_of_yes_and_how_many_have_none(kind: str) -> None:
    found = fill(overview(kind), label([[1.0, 0, 0, 0]]), label([[0.0, 0, 0, 0]]))
    assert found.text() == "12 % of pixels are yes, 1 of 2 labels have none"
    assert found.values() == {"yes": 0.125, "labels_without": 1, "not_labelled": 0.0}
    assert list(found.remarks()) == []
    none = fill(overview(kind), label([[0.0, 0]], [[True, False]]))
    assert list(none.remarks()) == ["all pixels of the new labels are no."]
    assert none.text().endswith("; 50 % not labelled")


SIDE = 1200


def test_of_a_large_label_single_pixels_still_count_where_they_matter() -> None:
    index = np.zeros((SIDE, SIDE), np.int64)
    index[3, 5] = 2
    classes = fill(overview("semseg", classes=NAMES), label(index))
    assert dict(classes.names()) == {"wall": True, "floor": False, "hat": True}
    assert np.array_equal(classes.latest, [True, False, True])
    millimetres = np.linspace(1000, 3000, SIDE**2).round().reshape(SIDE, SIDE)
    metres = (millimetres / 1000).astype(np.float32)
    metres[7, 9] = 65.535
    metres[0, 1] = 0.5
    found = fill(overview("depth"), label(metres))
    assert (found.values()["lowest"], found.values()["highest"]) == (0.5, np.float32(65.535))
    (doubt,) = found.doubts()
    assert doubt.startswith("1 of 1 new label hold 65535,")
    metres[7, 9] = 2e5
    assert "hold more than 100,000 m" in next(fill(overview("depth"), label(metres)).doubts())


def test_the_numbers_of_a_large_label_are_those_of_all_its_pixels_nearly() -> None:
    rng = np.random.default_rng(3)
    valid = rng.random((SIDE, SIDE)) < 0.8
    metres = rng.gamma(3, 1, (SIDE, SIDE)).astype(np.float32)
    depth = fill(overview("depth"), label(metres, valid)).values()
    assert depth["median"] == pytest.approx(float(np.median(metres[valid])), rel=0.01)
    assert depth["measured"] == np.count_nonzero(valid) / SIDE**2
    vectors = rng.normal((0.1, 0.2, 1.0), 0.3, (SIDE, SIDE, 3))
    vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    small = np.broadcast_to(np.float32((0.0, 1.0, 0.0)), (10, 10, 3))
    found = fill(overview("normals"), label(vectors, valid), label(small))
    every = np.concatenate([vectors[valid], small.reshape(-1, 3)]).mean(0)
    values = found.values()
    mean = [values["right"], values["up"], values["toward_camera"]]
    assert mean == pytest.approx(every.tolist(), abs=0.01)


def test_of_large_normals_a_pixel_of_another_direction_counts() -> None:
    vectors = np.zeros((SIDE, SIDE, 3), np.float32)
    vectors[..., 2] = 1
    assert list(fill(overview("normals"), label(vectors)).remarks())
    vectors[0, 0] = (0, 1, 0)
    assert not list(fill(overview("normals"), label(vectors)).remarks())


def test_of_a_large_label_that_is_measured_in_every_fourth_row_alone_the_numbers_are_told() -> None:
    valid = np.ones((2000, 2000), np.bool_)
    valid[2::4] = False
    metres = np.full((2000, 2000), 3, np.float32)
    metres[:, 5] = 2
    found = fill(overview("depth"), label(metres, valid))
    assert found.values()["measured"] == 0.75
    assert found.values()["median"] == pytest.approx(3, rel=0.01)


def test_a_kind_without_an_overview_says_nothing() -> None:
    found = fill(Overview(None), label([[1.0]]))
    assert (found.text(), found.values(), found.names(), found.limits()) == ("", {}, {}, None)
    assert list(found.remarks()) == [] and not found.legend(None).swatches
    assert found.labels == 1


def test_numbers_in_words_never_round_to_all_or_nothing() -> None:
    assert [percent(share) for share in (0.0, 1e-9, 0.5, 1 - 1e-9, 1.0)] == [
        "0 %",
        "under 1 %",
        "50 %",
        "over 99 %",
        "100 %",
    ]
    assert two_digits(1234567.0) == "1,200,000" and two_digits(1e30) == "1e+30"


def test_depths_that_cannot_be_are_doubted_and_odd_ones_remarked_on() -> None:
    flat = [label([[1.0 + number, 1.0 + number]]) for number in range(8)]
    assert list(fill(overview("depth"), *flat[:7]).doubts()) == []
    (doubt,) = fill(overview("depth"), *flat).doubts()
    assert doubt.startswith("8 of 8 new labels hold one value everywhere: 0.jpg, 1.jpg, 2.jpg")
    assert list(fill(overview("depth"), *flat, label([[1.0, 2.0]])).doubts()) == []
    (doubt,) = fill(overview("depth"), label([[1.0, 2.0]]), label([[1.0, 2e5]])).doubts()
    assert doubt.startswith("1 of 2 new labels hold more than 100,000 m, up to 2e+05 m: 1.jpg.")
    cut = [label([[1.0 + number / 10, 2.55, 2.55]]) for number in range(8)]
    (remark,) = fill(overview("depth"), *cut).remarks()
    assert remark.startswith("8 of 8 new labels end at 2.55 m, which 67 % of their pixels hold")
    varied = [label([[1.0, 2.0 + number, 2.0 + number]]) for number in range(8)]
    assert list(fill(overview("depth"), *cut[:7]).remarks()) == []
    assert list(fill(overview("depth"), *varied).remarks()) == []
