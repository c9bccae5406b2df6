"""Makes the environment in which templates of pages are rendered; all text is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from labelgrid.drawings.wording import explanation_lines, number


def templates_of(package: str, folder: str) -> Environment:
    """The environment of the templates in a folder of a package."""
    environment = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["with_commands"] = with_commands
    environment.filters["explained"] = lambda pick: explanation_lines(pick.terms, pick.explanation)
    return environment


def with_commands(text: str) -> Markup:
    """A sentence as HTML, escaped; a command between backticks is code.

    Example:
        >>> with_commands("Run `labelgrid fit <flat>` again.")
        Markup('Run <code>labelgrid fit &lt;flat&gt;</code> again.')
    """
    html = Markup()
    for index, part in enumerate(text.split("`")):
        html += Markup("<code>{}</code>").format(part) if index % 2 else part
    return html
