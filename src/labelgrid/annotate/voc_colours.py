"""Knows what the colours of Pascal VOC's masks mean: by a labelmap.txt, or by the standard map.

A colour is a number here: red * 65536 + green * 256 + blue.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.annotate.json_files import Decoder, plain_text
from labelgrid.basics import files
from labelgrid.basics.array_types import Ints
from labelgrid.basics.errors import LabelError
from labelgrid.formats.channels import shown_colours
from labelgrid.formats.colours import colour_codes
from labelgrid.images.reading import read_image

#: The names of the 20 classes, after the background.
CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
#: The colours that mean "not labelled", and the names that they have in label maps if they do.
VOID = {0: ("background",), 0xE0E0C0: ("void", "ignored")}
#: The colour around VOC's objects, which stays unlabelled whatever --rest says.
BORDER = 0xE0E0C0
_LINE = re.compile(
    r"(?P<name>.+?):\s*((?P<red>\d{1,3})\s*,\s*(?P<green>\d{1,3})\s*,\s*(?P<blue>\d{1,3})\s*(:.*)?|::)",
    re.ASCII,
)
_LARGEST = 2**24


def standard_names() -> dict[int, str]:
    """The names of VOC's own classes, by colour.

    Example:
        >>> {name: f"{colour:06x}" for colour, name in standard_names().items()}["person"]
        'c08080'
    """
    return {_standard_colour(index): name for index, name in enumerate(CLASSES)}


def _standard_colour(index: int) -> int:
    """The colour of a class: its lowest three bits are the highest of red, green and blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    red, green, blue = channels
    return red << 16 | green << 8 | blue


@dataclass(frozen=True)
class _Line:
    """A line of a label map: the place, the name, and the colour or None."""

    where: str
    name: str
    colour: int | None


def read_label_map(path: Path, decoder: Decoder = plain_text) -> dict[int, str]:
    """Read colour -> name from lines such as `car:0,128,255::`; # begins a remark.

    If no line has a colour, as datumaro writes `car:::`, the colours are VOC's, in this order.

    Raises:
        LabelError: the file cannot be read, a line is none such, or a colour or a name comes twice.
    """
    lines = list(_lines(path, decoder))
    if all(line.colour is None for line in lines):
        lines = [replace(line, colour=_standard_colour(at)) for at, line in enumerate(lines)]
    names = {}
    seen: set[str] = set()
    for line in lines:
        if line.colour is None:
            raise _wrong_line(line.where, line.name)
        if line.colour in names or line.name in seen:
            raise LabelError(
                f"'{line.name}' is {channels_text(line.colour)}: another line has the same name or "
                "colour.",
                where=line.where,
                next_step="Give each label a colour of its own, and export again.",
            )
        names[line.colour] = line.name
        seen.add(line.name)
    return names


def _lines(path: Path, decoder: Decoder) -> Iterator[_Line]:
    try:
        texts = decoder(files.read_bytes(path, _LARGEST)).splitlines()
    except (OSError, ValueError) as error:
        advice = getattr(error, "advice", "")
        raise LabelError(
            f"The label map cannot be read: {error}.", where=path, next_step=advice
        ) from error
    for number, text in enumerate(texts, 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        where = f"{path.name} line {number}"
        match = _LINE.fullmatch(text.strip())
        if not match:
            raise _wrong_line(where, text)
        if match["red"] is None:
            yield _Line(where, match["name"].strip(), None)
            continue
        red, green, blue = (int(match[channel]) for channel in ("red", "green", "blue"))
        if max(red, green, blue) > 255:
            raise _wrong_line(where, text)
        yield _Line(where, match["name"].strip(), red << 16 | green << 8 | blue)


def _wrong_line(where: str, text: str) -> LabelError:
    return LabelError(
        f"The line is {text!r:.80}; it must be NAME:RED,GREEN,BLUE::, each 0 to 255.",
        where=where,
        next_step="Export the labels again, with their colours.",
    )


def read_colours(path: Path) -> Ints:
    """The colour of each pixel [h, w] of a picture."""
    shown = shown_colours(path, "A mask")
    return colour_codes(read_image(path) if shown is None else shown)


def channels_text(colour: int) -> str:
    """A colour for messages.

    Example:
        >>> channels_text(0xE0E0C0)
        '(224, 224, 192)'
    """
    return str(tuple(colour.to_bytes(3)))
