"""Reads colours such as `#80c0ff`, and compares and counts colours."""

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Array, Bytes, Ints


@dataclass(frozen=True)
class LegendRow:
    """A class of a label file: the number in files, if any; the name; the colour."""

    number: int | None
    name: str
    colour: int


_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def colour_code(text: str) -> int:
    """The number 0xrrggbb of a colour.

    Raises:
        ValueError: it is not written as #rrggbb.

    Example:
        >>> colour_code("#000102")
        258
    """
    if not _HEX.fullmatch(text):
        raise ValueError(f"a colour is written as #rrggbb, such as #80c0ff; it is {text!r}")
    return int(text[1:], 16)


def colour_text(code: int) -> str:
    """The text of a colour's number: the inverse of `colour_code`.

    Example:
        >>> colour_text(258)
        '#000102'
    """
    return f"#{code:06x}"


def colour_codes(pixels: Array) -> Ints:
    """The numbers [...] of colours [..., 3], uint8.

    Example:
        >>> colour_codes(np.array([[0, 1, 2]], np.uint8)).tolist()
        [258]
    """
    wide = pixels.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def colour_pixels(codes: Ints) -> Bytes:
    """The colours [..., 3] of numbers [...]: the inverse of `colour_codes`."""
    channels = [codes >> 16, codes >> 8 & 255, codes & 255]
    return np.stack(channels, axis=-1).astype(np.uint8)


def nearest_colour(code: int, codes: Collection[int]) -> int:
    """The nearest of several colours, by the squared distance of red, green and blue.

    Example:
        >>> colour_text(nearest_colour(0x010203, [0x0000FF, 0x010204]))
        '#010204'
    """
    candidates = np.array(list(codes), np.int64)
    step = colour_pixels(candidates).astype(np.int64) - colour_pixels(np.array(code))
    return int(candidates[(step**2).sum(-1).argmin()])


def count_colours(codes: Ints) -> dict[int, int]:
    """Colour -> the number of its pixels, the most frequent first.

    Example:
        >>> count_colours(np.array([[7, 0, 7]]))
        {7: 2, 0: 1}
    """
    values, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return dict(zip(values[order].tolist(), counts[order].tolist(), strict=True))
