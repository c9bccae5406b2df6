"""Writes a report as one HTML file: no network, no script, pictures embedded."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from labelgrid.basics.shown import data_uri
from labelgrid.drawings.drawing import Drawing, drawing_bytes
from labelgrid.drawings.wording import explanation_lines, number
from labelgrid.report.code_words import with_commands
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
    environment = Environment(
        loader=PackageLoader("labelgrid", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell_text": cell_text,
        "with_commands": with_commands,
        "number": number,
        "data_uri": data_uri,
        "svg_uri": svg_uri,
    }
    environment.filters["explained"] = lambda pick: explanation_lines(pick.terms, pick.explanation)
    return BEGINS + environment.get_template("page.html.j2").render(page=page)


def cell_text(value: Value) -> str:
    """The text of a table's cell."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return number(value)


def svg_uri(drawing: Drawing) -> str:
    """A drawing as a data URI."""
    return data_uri(drawing_bytes(drawing, "svg"))
