"""Renders the templates of the pages; all text is escaped."""

from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.words import moment
from labelgrid.drawings.wording import explanation_lines, number
from labelgrid.report.code_words import with_commands


def render(
    template: str, *, project: ProjectReader | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page from a template and its values.

    Args:
        template: its file name.
        project: the project whose name each page bears; None: it is a study, or an error.
        status: of the answer.
        values: what the template shows.
    """
    name = project.folder.resolve().name if project else ""
    page = _environment().get_template(template)
    text = page.render(project_name=name, status=status, **values)
    return HTMLResponse(as_unicode(text), status_code=status)


def page_count(total: int, count: int) -> int:
    """The number of pages of `count` things each; an empty list has one.

    Example:
        >>> page_count(0, 48), page_count(48, 48), page_count(49, 48)
        (1, 1, 2)
    """
    return max(1, -(-total // count))


def as_unicode(text: str) -> str:
    """A text that can be sent; a request may hold characters that are none, and they become "?"."""
    return text.encode("utf-8", "replace").decode()


def _moment(text: str) -> Markup:
    """A moment in words, which `page.js` puts into the reader's own time."""
    return Markup('<time datetime="{}">{}</time>').format(text, moment(text))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("labelgrid.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["with_commands"] = with_commands
    environment.filters["explained"] = lambda pick: explanation_lines(pick.terms, pick.explanation)
    environment.filters["moment"] = _moment
    return environment
