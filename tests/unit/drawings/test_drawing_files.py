"""Laws of drawings as files: each as SVG and PNG, under a name that any disk takes, none over another."""

from labelgrid.drawings.charts import Chart, Line
from labelgrid.drawings.drawing import drawing_files
from labelgrid.report.page_blocks import DataTable, Figure, Page, Section

COVERS = ["labelgrid.drawings.drawing", "labelgrid.report.page_blocks"]


def page(*names: str) -> Page:
    charts = [
        Chart(
            name=name,
            x_label="x",
            y_label="y",
            lines=[Line(name="one", x=[1, 2], y=[3, 2])],
            title=name,
        )
        for name in names
    ]
    return Page(
        "flat",
        "today",
        [],
        [
            Section(
                "a", "A", [Figure(drawings=[chart], numbers=DataTable([], [])) for chart in charts]
            )
        ],
    )


def test_each_drawing_is_an_svg_and_a_png() -> None:
    found = dict(drawing_files(page("curve").drawings()))
    assert found["curve.svg"].startswith(b"<?xml") and found["curve.png"].startswith(b"\x89PNG")


def test_names_lead_nowhere_and_never_fall_together() -> None:
    names = [
        name
        for name, _ in drawing_files(page("../../etc/x y", "a/b", "a-b", "A-B", "..").drawings())
    ]
    assert len({name.casefold() for name in names}) == len(names) == 10
    assert not any("/" in name or name.startswith("..") for name in names)
