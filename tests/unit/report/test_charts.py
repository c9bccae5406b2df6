import math
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from labelgrid.report.charts import line_chart

SVG = "{http://www.w3.org/2000/svg}"


def texts(chart: bytes) -> list[str]:
    """The words and numbers written in a chart."""
    return ["".join(node.itertext()).strip() for node in ElementTree.fromstring(chart).iter(f"{SVG}text")]


def marks(chart: bytes) -> int:
    """How many ticks and points a chart has."""
    return len(list(ElementTree.fromstring(chart).iter(f"{SVG}use")))


def test_axes_are_named_in_text_that_is_no_formula() -> None:
    written = texts(line_chart([1, 2], [0.5, 0.25], "labels $x^2$ <b>", "mIoU (%)"))
    assert "labels $x^2$ <b>" in written and "mIoU (%)" in written


def test_equal_curves_give_equal_files() -> None:
    assert line_chart([1, 2], [0.5, 0.25], "a", "b") == line_chart([1, 2], [0.5, 0.25], "a", "b")
    assert line_chart([1, 2], [0.5, 0.25], "a", "b") != line_chart([1, 2], [0.5, 0.35], "a", "b")


def test_counts_are_marked_at_whole_numbers() -> None:
    whole = [t for t in texts(line_chart([1, 2], [7.0, 7.0], "x", "", whole=True)) if t.startswith(("1", "2"))]
    assert whole == ["1", "2"]
    assert "1.50" in texts(line_chart([1, 2], [7.0, 7.0], "x", ""))


@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_a_value_that_is_no_number_has_no_point(gap: float) -> None:
    whole, gapped = line_chart([1, 2, 3], [0.5, 0.4, 0.3], "x", "y"), line_chart([1, 2, 3], [0.5, gap, 0.3], "x", "y")
    assert texts(whole) == texts(gapped)
    assert marks(whole) == marks(gapped) + 1


def test_a_long_curve_is_a_bare_line() -> None:
    assert marks(line_chart(range(30), range(30), "x", "y")) > 30
    assert marks(line_chart(range(31), range(31), "x", "y")) < 30


def test_drawing_leaves_the_drawing_library_s_settings_alone() -> None:
    before = dict(mpl.rcParams)
    line_chart([1, 2], [0.5, 0.25], "a", "b")
    assert dict(mpl.rcParams) == before
