"""Renders the templates of the pages; all text is escaped."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment
from markupsafe import Markup

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.words import moment
from labelgrid.report.html_templates import templates_of

#: Opens the project for one request.
Opened = Callable[[], ProjectReader]


def render(
    template: str, *, project: ProjectReader | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page from a template and its values.

    Args:
        template: its file name.
        project: the project whose name each page bears; None: it is a study, or an error.
        status: the status of the answer.
        values: what the template shows.
    """
    name = project.folder.resolve().name if project else ""
    page = templates().get_template(template)
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
    """A text that can be sent: "?" replaces characters outside Unicode."""
    return text.encode("utf-8", "replace").decode()


@cache
def templates() -> Environment:
    """The environment of the pages; `page.js` puts moments into the reader's own time."""
    environment = templates_of("labelgrid.web", "templates")
    time = Markup('<time datetime="{}">{}</time>')
    environment.filters["moment"] = lambda text: time.format(text, moment(text))
    return environment
