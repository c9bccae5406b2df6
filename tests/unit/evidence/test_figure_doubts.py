"""Sets of figures and slopes are judged by their medians."""

import numpy as np
import pytest

from labelgrid.evidence.figure_doubts import (
    FEW,
    compare_slopes,
    compare_with_earlier,
    compare_with_labels,
    compare_with_predictions,
    compare_with_ranges,
)
from labelgrid.evidence.label_summary import Pair, Summary, slope_agreement
from labelgrid.formats.codecs.depth import Options as DepthOptions
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.kinds.depth import depth_figures

COVERS = ["labelgrid.evidence.doubts", "labelgrid.evidence.label_summary"]
RIGHT = np.ones((20, 20, 2), np.int8)
FLIPPED_X = RIGHT * np.array([-1, 1], np.int8)


def depth(*values: float) -> list[dict[str, LabelFigure]]:
    return [
        {
            "the median depth": LabelFigure(
                value=value, tolerance=5.0, ratio=True, range=(0.05, 200.0), unit=" m"
            )
        }
        for value in values
    ]


def in_steps_of(step: float, *medians: float) -> list[dict[str, LabelFigure]]:
    """The figures of depth maps whose PNG or arrays have this scale, by default."""
    options = DepthOptions()
    labels = []
    for median in medians:
        value = np.full((4, 4, 1), round(median / step) * step, np.float32)
        value[0, 0] += 3 * step if step < 1 else 0.123456
        labels.append(dict(depth_figures(value, np.ones((4, 4), np.bool_), options)))
    return labels


def test_the_usual_scales_that_make_depths_plausible_are_named() -> None:
    (doubt,) = compare_with_ranges("depth", in_steps_of(1.0, 1690.0))
    assert "It would be 1.69 m with `scale = 0.001`" in doubt.what
    assert '6.6 m with `scale = "1/256"`' in doubt.what


def test_the_scale_that_agrees_with_earlier_labels_and_predictions_is_named() -> None:
    labels = in_steps_of(0.001, *[0.25] * FEW)
    earlier = depth(*[1.7] * FEW)
    hint = 'It would be 0.977 m with `scale = "1/256"`.'
    (doubt,) = compare_with_earlier("depth", labels, depth(*[1.3] * FEW))
    assert hint in doubt.what
    usual = pairs(earlier, earlier)
    doubts = compare_with_predictions("depth", pairs(labels, depth(*[1.3] * FEW)), usual)
    assert hint in doubts[0].what
    (doubt,) = compare_with_earlier("depth", labels, depth(*[30.0] * FEW))
    assert "scale" not in doubt.what


def shares(*values: float) -> list[dict[str, LabelFigure]]:
    return [{"the share": LabelFigure(value=value, tolerance=0.3)} for value in values]


def pairs(
    labels: list[dict[str, LabelFigure]], predictions: list[dict[str, LabelFigure]]
) -> list[Pair]:
    both = zip(labels, predictions, strict=True)
    return [
        (Summary(figures=label, slope=RIGHT), Summary(figures=predicted, slope=RIGHT))
        for label, predicted in both
    ]


@pytest.mark.parametrize(
    ("values", "doubted"),
    [
        ((2.0, 3.0, 1.0), False),
        ((0.002, 0.003, 0.001), True),
        ((2000.0, 3000.0, 1000.0), True),
        ((2.0, 3.0, 1.0, 1.5, 2.5, 3000.0), False),  # one odd label
        ((2.0, 3.0, 3000.0, 2000.0), True),  # half of them
        ((0.002,), True),
    ],
)
def test_the_middle_half_of_the_labels_lies_in_the_range(
    values: tuple[float, ...], doubted: bool
) -> None:
    assert bool(compare_with_ranges("depth", depth(*values))) == doubted


def test_a_doubt_has_the_numbers() -> None:
    (doubt,) = compare_with_ranges("depth", depth(0.002, 0.003))
    wanted = "the median depth is 0.00225 to 0.00275 m in the middle half of 2 labels; expected 0.05 to 200 m."
    assert (doubt.task, doubt.what) == ("depth", wanted)
    (doubt,) = compare_with_ranges("depth", depth(0.002))
    assert doubt.what == "the median depth is 0.002 m in 1 label; expected 0.05 to 200 m."
    (doubt,) = compare_with_earlier("depth", depth(0.01), depth(*[2.0] * FEW, 3.0))
    assert (
        doubt.what
        == "the median depth is 0.01 m (median of 1 label), but 2 m in 9 labels imported before."
    )


def test_medians_may_differ_by_the_tolerance_and_farther_where_labels_vary() -> None:
    alike, varied = [2.0] * FEW, [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 90.0, 0.5, 5.0]
    assert compare_with_earlier("depth", depth(15.0, 15.0, 15.0), depth(*alike))
    assert not compare_with_earlier("depth", depth(8.0, 8.0, 8.0), depth(*alike))
    assert not compare_with_earlier("depth", depth(15.0, 15.0, 15.0), depth(*varied))


def test_the_likely_cause_is_named_beside_earlier_labels_if_the_range_is_left() -> None:
    def rims(value: float) -> list[dict[str, LabelFigure]]:
        figure = LabelFigure(value=value, tolerance=0.3, range=(0, 0.6), cause="Smoothed.")
        return [{"the share": figure}] * FEW

    (doubt,) = compare_with_earlier("seg", rims(0.9), rims(0.0))
    assert doubt.what.endswith("imported before. Smoothed.")
    (doubt,) = compare_with_earlier("seg", rims(0.5), rims(0.0))
    assert doubt.what.endswith("imported before.")


def test_few_labels_say_nothing_where_a_figure_needs_more() -> None:
    odd = {"the share": LabelFigure(value=0.9, tolerance=0.3, range=(0, 0.5), least=3)}
    assert compare_with_ranges("seg", [odd] * 3) and not compare_with_ranges("seg", [odd] * 2)


def test_few_earlier_labels_prove_nothing() -> None:
    assert compare_with_earlier("seg", shares(0.9, 0.9, 0.9), shares(*[0.1] * FEW))
    assert not compare_with_earlier("seg", shares(0.9, 0.9, 0.9), shares(*[0.1] * (FEW // 2)))


def test_a_figure_that_few_labels_have_is_not_compared() -> None:
    rare: list[dict[str, LabelFigure]] = [{}] * 5
    assert not compare_with_earlier("seg", [*shares(0.9), *rare], shares(*[0.1] * FEW))
    assert not compare_with_earlier("seg", shares(0.9, 0.9), [*shares(*[0.1] * FEW), *rare, *rare])


def test_opposite_slopes_are_found_by_axis() -> None:
    good, wrong = (Summary(slope=slope) for slope in (RIGHT, FLIPPED_X))
    assert not compare_slopes("normals", "depth", [(good, good)] * 3)
    (doubt,) = compare_slopes("normals", "depth", [(wrong, good)] * 3)
    wanted = "the slopes contradict depth of the same 3 images along x (right): agreement -1.00"
    assert doubt.what == f"{wanted} (1: equal signs, -1: opposite)."
    assert not compare_slopes(
        "normals", "depth", [(wrong, good), (good, good), (good, good)]
    )  # one odd label


def test_slopes_at_few_pixels_or_of_other_sizes_say_nothing() -> None:
    few = np.zeros_like(RIGHT)
    few[:5, :5] = 1
    assert np.isnan(slope_agreement(few, RIGHT)).all()
    small = Summary(slope=np.ones((10, 20, 2), np.int8))
    assert not compare_slopes(
        "normals", "depth", [(small, Summary(slope=FLIPPED_X)), (small, Summary())]
    )


def test_predictions_count_once_they_were_near_the_labels() -> None:
    truth, wrong = [0.5] * FEW, shares(0.95, 0.9, 0.92)
    near, far = (
        pairs(shares(*truth), shares(*[0.45] * FEW)),
        pairs(shares(*truth), shares(*[0.05] * FEW)),
    )
    new = pairs(wrong, shares(0.5, 0.5, 0.45))
    (doubt,) = compare_with_predictions("seg", new, near)
    assert doubt.what == "the share is 0.92, but 0.5 in the model's predictions (medians)."
    assert not compare_with_predictions("seg", new, far) and not compare_with_predictions(
        "seg", new, near[:3]
    )
    assert not compare_with_predictions("seg", new[:2], near)


def test_opposite_slopes_of_predictions_count_once_they_agreed() -> None:
    same, other = (
        (Summary(slope=RIGHT), Summary(slope=RIGHT)),
        (Summary(slope=FLIPPED_X), Summary(slope=RIGHT)),
    )
    assert compare_with_predictions("normals", [other] * 3, [same] * FEW)
    assert not compare_with_predictions("normals", [other] * 3, [other] * FEW)
    assert not compare_with_predictions("normals", [same] * 3, [same] * FEW)


def test_units_are_compared_by_the_median_ratio_of_figures_that_have_one() -> None:
    labels = depth(2.0, 3.0, 1.0)
    (doubt,) = compare_with_labels("depth", pairs(labels, depth(2000.0, 3000.0, 4.0)))
    assert (
        doubt.what
        == "the median depth of the predictions is 1e+03 times that of the labels. Check the unit."
    )
    assert (
        compare_with_labels("depth", pairs(labels, depth(8.0, 1.0, 4000.0))) == []
    )  # a poor model, one odd image
    assert compare_with_labels("edges", pairs(shares(0.1, 0.2), shares(0.9, 0.9))) == []
    assert compare_with_labels("depth", []) == []


def test_predictions_with_another_unit_differ_in_all_ratios_and_are_told_of_once() -> None:
    def both(middle: float, near: float) -> list[dict[str, LabelFigure]]:
        values = {"the middle": depth(middle)[0], "what is near": depth(near)[0]}
        return [{name: next(iter(figures.values())) for name, figures in values.items()}] * 3

    labels = both(2.0, 0.5)
    (doubt,) = compare_with_labels("depth", pairs(labels, both(2000.0, 500.0)))
    assert doubt.what.startswith("the middle of the predictions is 1e+03 times")
    assert compare_with_labels("depth", pairs(labels, both(2.0, 500.0))) == []  # a poor model
