"""How a report becomes one HTML file that needs nothing else: no network, no script, pictures inside."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from labelgrid.report.charts import line_chart
from labelgrid.report.content import Part, Report, Training
from labelgrid.report.curves import OVERALL, Curve, curves, newest, set_changes

#: How the file begins, by which a report is known again.
BEGINS = "<!doctype html>\n<!-- labelgrid report -->\n"

#: States in the bars' order, with colours of Okabe & Ito's palette and a grey.
STATES = {"labelled": "#0072b2", "requested": "#e69f00", "skipped": "#cc79a7", "missing": "#d9d9d9"}


@dataclass(frozen=True)
class Drawn:
    """A chart: its file as an address, and what it shows in words."""

    source: str
    text: str


def render(report: Report) -> str:
    """The report as HTML. All text is escaped: names of images and tasks may hold anything.

    Example:
        >>> from labelgrid.report.content import Hint
        >>> empty = Report("flat", "today", {}, {}, [], None, [], [], None, None, "labelgrid fit flat", {})
        >>> render(empty).startswith("<!doctype html>")
        True
    """
    environment = Environment(
        loader=PackageLoader("labelgrid", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "bar": bar, "picture": picture}
    figures = curves(report.measured, report.headlines)
    return BEGINS + environment.get_template("page.html.j2").render(
        report=report,
        states=STATES,
        overall=OVERALL,
        curves=[(curve, draw(curve)) for curve in figures],
        newest=newest(report.measured, list(report.headlines)),
        set_changes=set_changes(report.measured),
        losses=draw_training(report.training) if report.training else {},
    )


def number(value: float) -> str:
    """A number as people read it; "–" for one that is none.

    Example:
        >>> number(0.123456), number(12345.5), number(1234.0), number(float("nan"))
        ('0.1235', '12,345.5', '1,234', '–')
    """
    if not math.isfinite(value):
        return "–"
    if abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.1f}".removesuffix(".0")


def signed(value: float) -> str:
    """A change with its sign.

    Example:
        >>> signed(1.5), signed(-0.25)
        ('+1.5', '−0.25')
    """
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{number(abs(value))}"


def bar(part: Part) -> list[tuple[str, list[tuple[str, float, float]]]]:
    """The stacked bar of each task: its name, and of each state the place and width in percent of the cells."""
    bars = []
    for count in part.tasks:
        left, pieces = 0.0, []
        for state in STATES:
            width = 100 * getattr(count, state) / max(part.images, 1)
            pieces.append((state, round(left, 3), round(width, 3)))
            left += width
        bars.append((count.task, pieces))
    return bars


def picture(jpeg: bytes) -> str:
    """A JPEG file as an address."""
    return _address("image/jpeg", jpeg)


def draw(curve: Curve) -> list[Drawn]:
    """A curve against labels and against cost; nothing with fewer than two points, which make no curve."""
    points = curve.finite
    if len(points) < 2:
        return []
    label = _with_unit(curve.metric, curve.unit)
    values = [point.value for point in points]
    return [
        _drawn([p.labels for p in points], values, "labels learned from", label, whole=True),
        _drawn([p.cost for p in points], values, "cost of these labels", label),
    ]


def draw_training(training: Training) -> dict[str, Drawn]:
    """The loss of each task by epoch."""
    return {
        name: _drawn(list(losses), list(losses.values()), "epoch", "loss", whole=True)
        for name, losses in training.losses.items()
    }


def _drawn(x: Sequence[float], y: Sequence[float], x_label: str, y_label: str, *, whole: bool = False) -> Drawn:
    address = _address("image/svg+xml", line_chart(x, y, x_label, y_label, whole=whole))
    ends = f"from {number(y[0])} at {number(x[0])} to {number(y[-1])} at {number(x[-1])}"
    return Drawn(address, f"{y_label} against {x_label}: {ends}")


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
