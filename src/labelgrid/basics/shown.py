"""Shows results: as a line or two, and in a notebook as tables and pictures, all text escaped."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from labelgrid.basics.errors import escape_control_characters

#: The lines of a result's plain text, and the rows of its table.
LINES = 2
ROWS = 12
#: The most pixels of a picture's width.
WIDEST = 1200
#: The styles of what is shown; a notebook may be light or dark, so colours are the notebook's own.
PARAGRAPH = "margin:0 0 .4em"
TABLE = "border-collapse:collapse;margin:.2em 0 .6em"
CELL = "padding:.2em .8em .2em 0;vertical-align:top;text-align:"
GALLERY = "display:flex;flex-wrap:wrap;gap:.8em;margin:.2em 0 .6em"
FIGURE = "margin:0;max-width:100%"
IMAGE = "display:block;max-width:100%;border-radius:3px"
CAPTION = "font-size:85%;line-height:1.35;overflow-wrap:anywhere;margin-top:.25em"


class Shown:
    """A result that shows itself with the words of `__str__`."""

    def __repr__(self) -> str:
        lines = [line.strip() for line in str(self).splitlines() if line.strip()]
        more = " …" if len(lines) > LINES else ""
        shown = f"<{type(self).__name__}: {' '.join(lines[:LINES])}{more}>"
        return escape_control_characters(shown)

    def _repr_html_(self) -> str:
        lines = [text_block(line) for line in str(self).splitlines()[:ROWS]]
        return "\n".join([*lines, *filter(None, self._parts())])

    def _parts(self) -> Iterable[str]:
        """The tables and pictures below the words, as HTML."""
        return ()


def text_block(text: str) -> str:
    """A paragraph.

    Example:
        >>> text_block("a < b")
        '<p style="margin:0 0 .4em">a &lt; b</p>'
    """
    return f'<p style="{PARAGRAPH}">{escape(text)}</p>'


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table, of whose rows the first are shown; "" without one. Numbers are at the right."""
    rows = list(rows)
    if not rows:
        return ""
    shown = [_row("td", row) for row in rows[:ROWS]]
    more = text_block(f"and {len(rows) - ROWS:,} more") if len(rows) > ROWS else ""
    sides = [_side(value) for value in rows[0]]
    head = _row("th", columns, sides)
    return (
        f'<table style="{TABLE}"><thead>{head}</thead><tbody>{"".join(shown)}</tbody></table>{more}'
    )


def gallery(figures: Iterable[str]) -> str:
    """Pictures side by side; "" without one."""
    content = "".join(figures)
    return f'<div style="{GALLERY}">{content}</div>' if content else ""


def figure(picture: bytes, alt: str, lines: Sequence[str] = (), width: int = 0) -> str:
    """A picture above lines of text, with the first line bold.

    Args:
        picture: the content of a JPEG or PNG file; empty: there is none.
        alt: what it shows.
        lines: the lines.
        width: the width of the figure in pixels; 0: the picture's own.
    """
    text = [f"<div>{escape(line)}</div>" for line in lines]
    if text:
        text[0] = f"<div><b>{escape(lines[0])}</b></div>"
    size = f"width:{width}px;" if width else ""
    image = f'<img src="{data_uri(picture)}" alt="{escape(alt)}" style="{IMAGE};{size}">'
    if not picture:
        image = ""
    caption = f'<figcaption style="{CAPTION}">{"".join(text)}</figcaption>' if text else ""
    return f'<figure style="{size}{FIGURE}">{image}{caption}</figure>'


def picture_of(path: Path | str | None, alt: str) -> str:
    """The picture of a file, not wider than a notebook; "" if there is none or it is damaged."""
    with suppress(OSError, ValueError, SyntaxError):
        if path:
            return figure(_shrunk(Path(path)), alt)
    return ""


def data_uri(picture: bytes) -> str:
    r"""The content of a JPEG, PNG or SVG file as an address.

    Example:
        >>> data_uri(b"\xff\xd8")
        'data:image/jpeg;base64,/9g='
    """
    kinds = {b"\xff\xd8": "jpeg", b"\x89P": "png"}
    kind = kinds.get(picture[:2], "svg+xml")
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


def _shrunk(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        image.thumbnail((WIDEST, image.height))
        content = BytesIO()
        image.convert("RGB").save(content, "JPEG", quality=88)
    return content.getvalue()


def _row(tag: str, values: Sequence[Any], sides: Sequence[str] = ()) -> str:
    cells: Iterator[str] = (
        f'<{tag} style="{CELL}{side}">{escape(_text(value))}</{tag}>'
        for value, side in zip(values, sides or map(_side, values), strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _side(value: Any) -> str:
    return "right" if _is_number(value) else "left"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if not _is_number(value):
        return str(value)
    if isinstance(value, float):
        return f"{value:z.4g}"
    return f"{value:,}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
