import io
import math
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from labelgrid.drawings.charts import Bars, Chart, Level, Line, Marks
from labelgrid.drawings.drawing import STYLE, drawing_bytes

SVG = "{http://www.w3.org/2000/svg}"


COLOURS = {"labelled": "#0072b2", "missing": "#d9d9d9"}


def line_chart(x, y, x_label: str, y_label: str, **options) -> bytes:
    return drawing_bytes(
        Chart(
            name="a",
            x_label=x_label,
            y_label=y_label,
            lines=[Line(name="one", x=x, y=y)],
            **options,
        ),
        "svg",
    )


def texts(chart: bytes) -> list[str]:
    """The words and numbers written in a chart."""
    return [
        "".join(node.itertext()).strip()
        for node in ElementTree.fromstring(chart).iter(f"{SVG}text")
    ]


def marks(chart: bytes) -> int:
    """How many ticks and points a chart has."""
    return len(list(ElementTree.fromstring(chart).iter(f"{SVG}use")))


def shapes(chart: bytes) -> set[str | None]:
    """The outlines of ticks and markers."""
    return {
        path.get("d")
        for defs in ElementTree.fromstring(chart).iter(f"{SVG}defs")
        for path in defs.iter(f"{SVG}path")
    }


def test_axes_are_named_in_text_that_is_no_formula() -> None:
    written = texts(line_chart([1, 2], [0.5, 0.25], "labels $x^2$ <b>", "mIoU (%)"))
    assert "labels $x^2$ <b>" in written and "mIoU (%)" in written


def test_equal_curves_give_equal_files() -> None:
    assert line_chart([1, 2], [0.5, 0.25], "a", "b") == line_chart([1, 2], [0.5, 0.25], "a", "b")
    assert line_chart([1, 2], [0.5, 0.25], "a", "b") != line_chart([1, 2], [0.5, 0.35], "a", "b")


def test_counts_are_marked_at_whole_numbers() -> None:
    whole = [
        t
        for t in texts(line_chart([1, 2], [7.0, 7.0], "x", "", whole=True))
        if t.startswith(("1", "2"))
    ]
    assert whole == ["1", "2"]
    assert "1.50" in texts(line_chart([1, 2], [7.0, 7.0], "x", ""))


@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_a_value_that_is_no_number_has_no_point(gap: float) -> None:
    whole, gapped = (
        line_chart([1, 2, 3], [0.5, 0.4, 0.3], "x", "y"),
        line_chart([1, 2, 3], [0.5, gap, 0.3], "x", "y"),
    )
    assert texts(whole) == texts(gapped)
    assert marks(whole) == marks(gapped) + 1


def test_a_long_curve_is_a_bare_line() -> None:
    assert marks(line_chart(range(30), range(30), "x", "y")) > 30
    assert marks(line_chart(range(31), range(31), "x", "y")) < 30


def test_drawing_leaves_the_drawing_library_s_settings_alone() -> None:
    before = dict(mpl.rcParams)
    line_chart([1, 2], [0.5, 0.25], "a", "b")
    assert dict(mpl.rcParams) == before


def test_several_lines_have_a_legend_markers_of_their_own_and_a_dashed_level() -> None:
    lines = [
        Line(name="partal", x=[1, 2], y=[3.0, 2.0], low=[2.5, 1.5], high=[3.5, 2.5]),
        Line(name="random", x=[1, 2], y=[3.0, 2.5]),
    ]
    chart = Chart(
        name="a",
        x_label="labels",
        y_label="loss",
        lines=lines,
        levels=[Level("every label: 1.5", 1.5)],
    )
    svg = drawing_bytes(chart, "svg")
    assert {"partal", "random", "every label: 1.5"} <= set(texts(svg))
    assert (
        b"stroke-dasharray" in svg
        and b"stroke-dasharray" not in line_chart([1, 2], [3, 2], "x", "y").split(b"axes")[0]
    )
    assert (
        chart.alt
        == "loss against labels: partal from 3 at 1 to 2 at 2; random from 3 at 1 to 2.5 at 2; every label: 1.5 at 1.5"
    )
    bare = [Line(name="a", x=[1, 2], y=[3, 2]), Line(name="b", x=[1, 2], y=[3, 2.5])]
    one, two = (
        shapes(drawing_bytes(Chart(name="a", x_label="x", y_label="y", lines=some), "svg"))
        for some in (bare[:1], bare)
    )
    assert len(two - one) == 1


def test_a_band_widens_the_picture_and_none_is_drawn_for_one_line_without() -> None:
    plain = drawing_bytes(
        Chart(name="a", x_label="x", y_label="y", lines=[Line(name="one", x=[1, 2], y=[3.0, 2.0])]),
        "svg",
    )
    banded = drawing_bytes(
        Chart(
            name="a",
            x_label="x",
            y_label="y",
            lines=[Line(name="one", x=[1, 2], y=[3.0, 2.0], low=[1.0, 0.0], high=[5.0, 4.0])],
        ),
        "svg",
    )
    assert b"opacity: 0.15" in banded and b"opacity: 0.15" not in plain


def test_more_strategies_than_colours_are_still_told_apart() -> None:
    lines = [Line(name=f"s{i}", x=[1, 2], y=[i, i + 1.0]) for i in range(9)]
    svg = drawing_bytes(Chart(name="a", x_label="x", y_label="y", lines=lines), "svg").decode()
    strokes = {
        node.get("style")
        for node in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if "stroke-width: 1.8" in node.get("style", "")
    }
    assert len(strokes) == 9


def test_a_file_that_stands_alone_has_its_title_and_both_kinds_can_be_made() -> None:
    chart = Chart(
        name="a",
        x_label="x",
        y_label="y",
        lines=[Line(name="one", x=[1, 2], y=[3.0, 2.0])],
        title="semseg",
    )
    assert "semseg" in texts(drawing_bytes(chart, "svg", title=True)) and "semseg" not in texts(
        drawing_bytes(chart, "svg")
    )
    assert drawing_bytes(chart, "png").startswith(b"\x89PNG")


def test_a_file_is_that_of_the_drawing_library_drawn_only_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [
        Line(name="one", x=[1, 2], y=[3.0, 2.0], low=[2.5, 1.5], high=[3.5, 2.5]),
        Line(name="two", x=[1, 2], y=[3.0, 2.5]),
    ]
    chart = Chart(name="a", x_label="labels", y_label="loss", lines=lines)
    expected = {}
    for kind, options in (
        ("svg", {"metadata": {"Date": None}, "transparent": True}),
        ("png", {"dpi": 200}),
    ):
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=chart.size, layout="constrained")
            chart.draw(figure)
            file = io.BytesIO()
            figure.savefig(file, format=kind, **options)
        expected[kind] = file.getvalue()
    times = []
    draw = Figure.draw
    monkeypatch.setattr(
        Figure, "draw", lambda figure, renderer: times.append(1) or draw(figure, renderer)
    )
    for kind in ("svg", "png"):
        assert drawing_bytes(chart, kind) == expected[kind]
    assert len(times) == 2


def test_a_title_and_a_legend_do_not_lie_over_each_other() -> None:
    lines = [Line(name="one", x=[1, 2], y=[3, 2]), Line(name="two", x=[1, 2], y=[3, 1])]
    svg = drawing_bytes(
        Chart(name="a", x_label="x", y_label="y", lines=lines, title="semseg"), "svg", title=True
    )
    nodes = {
        "".join(node.itertext()).strip(): node
        for node in ElementTree.fromstring(svg).iter(f"{SVG}text")
    }
    title, entry = (float(nodes[word].get("y", "nan")) for word in ("semseg", "one"))
    assert title < entry - 8  # a line above it


def test_the_y_axis_covers_at_least_its_least_height() -> None:
    drawn = texts(line_chart([1, 2], [5.2, 5.1], "x", "y", least_height=4.0))
    assert {"4.0", "6.4"} <= set(drawn)
    assert "4.0" not in texts(line_chart([1, 2], [5.2, 5.1], "x", "y"))


def test_a_point_without_neighbours_has_a_bar_for_its_band() -> None:
    low, high = [0, math.nan, 2.5, 3.5], [0, math.nan, 3.5, 4.5]
    figure = Figure()
    Chart(
        name="a",
        x_label="x",
        y_label="y",
        lines=[Line(name="one", x=[1, 2, 3, 4], y=[0, math.nan, 3, 4], low=low, high=high)],
    ).draw(figure)
    (bars,) = [part for part in figure.axes[0].collections if isinstance(part, LineCollection)]
    assert [bar.tolist() for bar in bars.get_segments()] == [[[1, 0], [1, 0]]]
    figure = Figure()
    Chart(
        name="a",
        x_label="x",
        y_label="y",
        lines=[
            Line(
                name="one",
                x=[1, 2, 3],
                y=[1, math.nan, 3],
                low=[0.5, math.nan, 2],
                high=[1.5, math.nan, 4],
            )
        ],
    ).draw(figure)
    (bars,) = [part for part in figure.axes[0].collections if isinstance(part, LineCollection)]
    assert [bar.tolist() for bar in bars.get_segments()] == [[[1, 0.5], [1, 1.5]], [[3, 2], [3, 4]]]


def test_marks_are_dotted_lines_with_one_name_and_their_places_in_the_alternative() -> None:
    line = Line(name="depth", x=[10, 20, 30], y=[3, 2, 1])
    chart = Chart(
        name="a", x_label="labels", y_label="loss", lines=[line], marks=Marks("other", [20, 30])
    )
    assert chart.alt.endswith("depth from 3 at 10 to 1 at 30; other at 20, 30")
    svg = drawing_bytes(chart, "svg")
    assert texts(svg).count("other") == 1 and svg.count(b"stroke-dasharray") >= 3


def test_a_bar_shows_each_part_s_share_and_an_empty_one_nothing() -> None:
    bars = Bars(
        "cells",
        {"depth": {"labelled": 6, "missing": 4}, "new": {"labelled": 0, "missing": 0}},
        COLOURS,
    )
    assert bars.percentages("depth") == {"labelled": 60.0, "missing": 40.0}
    assert bars.percentages("new") == {"labelled": 0.0, "missing": 0.0}
    assert bars.alt == "depth: 60 % labelled, 40 % missing; new: nothing"


def test_a_very_long_name_leaves_room_for_the_bar() -> None:
    name = "a-task-" + "of-many-words-" * 6 + "end"
    svg = drawing_bytes(
        Bars("cells", {name: {"labelled": 6, "missing": 4}}, COLOURS), "svg"
    ).decode()
    assert (
        name not in svg
        and "a-task-of-ma…" in svg
        and name in Bars("", {name: {"labelled": 1}}, {"labelled": ""}).alt
    )


def test_the_picture_has_the_parts_colours_and_words() -> None:
    svg = drawing_bytes(
        Bars("cells", {"depth": {"labelled": 6, "missing": 4}}, COLOURS), "svg"
    ).decode()
    assert all(colour in svg for colour in COLOURS.values())
    assert all(f">{word}<" in svg for word in ("depth", "labelled", "missing"))
