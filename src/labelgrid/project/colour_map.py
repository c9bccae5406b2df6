"""Reads colour maps: files that give each class its colour, a line each."""

import re
from collections.abc import Sequence
from pathlib import Path

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import read_foreign_text
from labelgrid.formats.colours import colour_code, colour_text

#: Between a class and its colour, and between the three numbers of a colour.
_BETWEEN = re.compile(r"[\s,;:]+")
#: What VOC's label maps have behind a colour.
_PARTS = re.compile(r":[^:]*:[^:]*$")
_EXAMPLE = "`wall 128 0 0`, `wall,#800000` or `wall:128,0,0::`"


def read_colour_map(path: Path) -> dict[str, list[str]]:
    """Read the colours, as "#rrggbb", of each class; a class may have several lines.

    A line is `NAME R G B`, `R G B NAME` or `NAME #RRGGBB`, with blanks, tabs, commas, semicolons or
    colons between, or `NAME:R,G,B:PARTS:ACTIONS` as in a label map of Pascal VOC's form. Empty
    lines, and those that begin with `# ` or `//`, are left out.

    Raises:
        ProjectError: the file cannot be read, or a line is no class with a colour.
    """
    try:
        lines = read_foreign_text(path).splitlines()
    except (OSError, ValueError) as error:
        fault = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProjectError(
            f"The colour map cannot be read: {fault}.",
            where=path,
            next_step=getattr(
                error,
                "advice",
                f"Name a text file with a class and its colour a line, such as {_EXAMPLE}.",
            ),
        ) from error
    colours: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith(("# ", "//")) or text == "#":
            continue
        named = _named_colour(text)
        if named is None:
            raise ProjectError(
                f"Line {number} of the colour map is no class with a colour: {text!r:.60}.",
                where=path,
                next_step=f"Write, for example, {_EXAMPLE}; numbers are from 0 to 255.",
            )
        name, colour = named
        colours.setdefault(name, []).append(colour)
    return colours


def _named_colour(text: str) -> tuple[str, str] | None:
    """The class and the colour of a line; None if it has none."""
    words = _words(text.rstrip(":") if text.endswith("::") else _PARTS.sub("", text))
    if len(words) > 1 and words[-1].startswith("#"):
        try:
            return " ".join(words[:-1]), colour_text(colour_code(words[-1]))
        except ValueError:
            return None
    for numbers, name in ((words[-3:], words[:-3]), (words[:3], words[3:])):
        code = _code(numbers)
        if name and code is not None:
            return " ".join(name), colour_text(code)
    return None


def _words(text: str) -> list[str]:
    return [word for word in _BETWEEN.split(text) if word]


def _code(numbers: Sequence[str]) -> int | None:
    """The colour 0xrrggbb of three numbers; None if they are none."""
    code = 0
    for number in numbers:
        if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 256):
            return None
        code = code << 8 | int(number)
    return code if len(numbers) == 3 else None
