"""Writes a report as one HTML file: no network, no script, pictures embedded."""

from labelgrid.basics.shown import data_uri
from labelgrid.drawings.drawing import drawing_bytes
from labelgrid.drawings.wording import number
from labelgrid.report.html_templates import templates_of
from labelgrid.report.page_blocks import Page, Value

#: The first lines of the file; they mark it as a report that may be overwritten.
BEGINS = "<!doctype html>\n<!-- labelgrid report -->\n"


def render(page: Page) -> str:
    """The page as HTML.

    All text is escaped, since names of images and tasks may hold any character.

    Example:
        >>> render(Page("flat", "today")).startswith("<!doctype html>")
        True
    """
    environment = templates_of("labelgrid", "report")
    environment.filters["cell_text"] = cell_text
    environment.filters["data_uri"] = data_uri
    environment.filters["svg_uri"] = lambda drawing: data_uri(drawing_bytes(drawing, "svg"))
    return BEGINS + environment.get_template("page.html.j2").render(page=page)


def cell_text(value: Value) -> str:
    """A value as a table shows it."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else number(value)
