"""How a page becomes one HTML file that needs nothing else: no network, no script, pictures inside."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from labelgrid.report.blocks import Page, Value
from labelgrid.report.drawing import Drawing, file_of
from labelgrid.report.wording import number

#: How the file begins, by which a report is known again.
BEGINS = "<!doctype html>\n<!-- labelgrid report -->\n"


def render(page: Page) -> str:
    """The page as HTML. All text is escaped: names of images and tasks may hold anything.

    Example:
        >>> render(Page("flat", "today")).startswith("<!doctype html>")
        True
    """
    environment = Environment(
        loader=PackageLoader("labelgrid", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "number": number, "picture": picture, "drawn": drawn}
    return BEGINS + environment.get_template("page.html.j2").render(page=page)


def shown(value: Value) -> str:
    """What stands in a table's cell."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else number(value)


def picture(jpeg: bytes) -> str:
    """A JPEG file as an address."""
    return _address("image/jpeg", jpeg)


def drawn(drawing: Drawing) -> str:
    """A drawing as an address."""
    return _address("image/svg+xml", file_of(drawing, "svg"))


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
