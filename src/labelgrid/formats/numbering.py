"""Defines the meaning of the numbers or colours in the files of a class map."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Ints
from labelgrid.basics.config import check_ranges
from labelgrid.basics.words import join_names
from labelgrid.formats.codec import Form
from labelgrid.formats.colours import colour_code, colour_text

#: The class of `ids` and `colours` that stands for "not labelled".
IGNORE = "ignore"
#: The position of a number or colour that means "not labelled", and of one that nobody declared.
NOT_LABELLED = -1
UNKNOWN = -2
#: The smallest and the largest number that can be declared.
LOWEST = -(2**15)
HIGHEST = 2**16 - 1
_WHOLE = re.compile("0|-?[1-9][0-9]{0,4}")


@dataclass(frozen=True, kw_only=True)
class Numbering(Form):
    """How files of class maps encode classes: by default as indices from 0.

    Args:
        first: the number of the first class; smaller numbers are not labelled.
        ids: number in the file -> class, or "ignore" for not labelled. Other numbers are refused,
            except 255 (8-bit) and 65535 (16-bit), which then mean "not labelled".
        colours: for files of colours: class or "ignore" -> a colour, such as "#80c0ff", or a list
            of colours. A task may also name a colour map: a text file with a class and its colour
            per line.
    """

    first: int = 0
    ids: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts_from_zero(self) -> bool:
        """Whether files hold the indices of the classes."""
        return not (self.first or self.ids or self.colours)

    def names_in_files(self, classes: Iterable[str]) -> dict[int, str]:
        """Number, or colour 0xrrggbb, in the file -> class or "ignore"."""
        if self.ids:
            return {int(number): name for number, name in self.ids.items()}
        if not self.colours:
            return {number + self.first: name for number, name in enumerate(classes)}
        names = {}
        for name, colours in self.colours.items():
            for colour in several(colours):
                names[colour_code(colour)] = name
        return names

    def check_numbering(self, classes: tuple[str, ...], left: tuple[str, ...]) -> None:
        """Check the options against all classes, and the classes left after merging.

        Raises:
            ValueError: two options exclude each other, or one is wrong.
        """
        check_ranges(self, first=(0, HIGHEST))
        given = [name for name in ("first", "ids", "colours") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: declare one of them")
        for number in self.ids:
            if not (_WHOLE.fullmatch(number) and LOWEST <= int(number) <= HIGHEST):
                raise ValueError(
                    f"a number in ids is a whole one from {LOWEST} to {HIGHEST}; it is '{number}'"
                )
        seen: dict[str, str] = {}
        for name, colours in self.colours.items():
            for colour in several(colours):
                text = colour_text(colour_code(colour))
                if seen.setdefault(text, name) != name:
                    raise ValueError(f"colours gives {text} to '{seen[text]}' and to '{name}'")
        if self.ids or self.colours:
            _check_names(given[0], self.names_in_files(classes), classes, left)


def several(colours: str | tuple[str, ...]) -> tuple[str, ...]:
    """The colours of a class, which may be written as a single text."""
    return (colours,) if isinstance(colours, str) else colours


def _check_names(
    option: str, named: Mapping[int, str], classes: tuple[str, ...], left: tuple[str, ...]
) -> None:
    if IGNORE in classes:
        raise ValueError(f"no class can be called '{IGNORE}' with {option}")
    for name in named.values():
        if name not in classes and name != IGNORE:
            raise ValueError(
                f"{option} names '{name}', which is no class of the task "
                f"({join_names(classes, 5)}); what is not labelled is called '{IGNORE}'"
            )
    written = {name for number, name in named.items() if number >= 0}
    lacking = [name for name in left if name not in written]
    if lacking:
        raise ValueError(f"{option} lacks {join_names(lacking, 5)}")


def default_void(dtype: "np.dtype[Any]") -> tuple[int, ...]:
    """The numbers of a type that mean "not labelled" by default."""
    if dtype.kind != "u":
        return ()
    return {1: (255,), 2: (65535,)}.get(dtype.itemsize, ())


def look_up_numbers(
    numbers: Array, positions: Mapping[int, int], below: int | None = None
) -> NDArray[np.int16]:
    """The position of each whole number; `UNKNOWN` where it has none.

    Args:
        numbers: an array of any shape.
        positions: number -> position.
        below: smaller numbers without a position are `NOT_LABELLED`; None: no number is.

    Example:
        >>> look_up_numbers(np.array([7, 9, -1]), {7: 0}, below=0).tolist()
        [0, -2, -1]
    """
    low = LOWEST - 1
    high = HIGHEST + 1
    rows = numbers
    if numbers.dtype.kind == "u" and numbers.dtype.itemsize <= 2:
        low = 0
        high = int(np.iinfo(numbers.dtype).max)
    else:
        limits = np.iinfo(numbers.dtype)
        rows = np.clip(numbers, max(low, limits.min), min(high, limits.max)).astype(np.int64) - low
    table = np.full(high - low + 1, UNKNOWN, np.int16)
    if below is not None:
        table[: max(0, below - low)] = NOT_LABELLED
    for number, position in positions.items():
        if low <= number <= high:
            table[number - low] = position
    if numbers.dtype != np.uint8 or not numbers.size:
        return table[rows]

    import cv2  # imported late: commands that only need the options start faster

    return np.asarray(cv2.LUT(numbers, table)).reshape(numbers.shape)


def look_up_colours(codes: Ints, positions: Mapping[int, int]) -> NDArray[np.int32]:
    """The position of each colour 0xrrggbb; `UNKNOWN` where it has none.

    Example:
        >>> look_up_colours(np.array([0x0000FF, 0x00FF00]), {0xFF: 3}).tolist()
        [3, -2]
    """
    sorted_codes = np.array(sorted(positions), np.int64)
    row = np.minimum(np.searchsorted(sorted_codes, codes), len(sorted_codes) - 1)
    values = np.array([positions[code] for code in sorted_codes.tolist()], np.int32)
    return np.where(sorted_codes[row] == codes, values[row], np.int32(UNKNOWN))
