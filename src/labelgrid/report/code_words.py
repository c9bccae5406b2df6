"""Sets the commands in a sentence, which stand between backticks, as code in HTML."""

from markupsafe import Markup


def with_commands(text: str) -> Markup:
    """A sentence as HTML, escaped.

    Example:
        >>> with_commands("Run `labelgrid fit <flat>` again.")
        Markup('Run <code>labelgrid fit &lt;flat&gt;</code> again.')
    """
    html = Markup()
    for number, part in enumerate(text.split("`")):
        if number % 2:
            html += Markup("<code>{}</code>").format(part)
        else:
            html += part
    return html
