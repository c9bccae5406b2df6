"""Words the errors about class maps whose numbers or colours say no class.

If a hint names an option, following the hint makes the file readable, unless the hint stands beside
others that are as likely.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Ints
from labelgrid.basics.config import as_toml
from labelgrid.basics.errors import LabelError
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.colours import colour_codes, colour_text, count_colours, nearest_colour
from labelgrid.formats.numbering import IGNORE, Numbering, default_void, several

#: A message lists so many numbers or colours, and a hint declares no more.
LISTED = 5
#: So many indices without a class come from a smooth change of size: those of NYUv2's 40 classes,
#: with 255 for 'not labelled', leave 23 to 150 of them in most files; right ones hold at most 18.
MANY = 20


def unnamed(wrong: NDArray[Any]) -> str:
    """The beginning of the message about indices without a class.

    Example:
        >>> unnamed(np.array([7, 7, 9]))
        'It holds indices without a class: 7 (2 pixels), 9 (1 pixel)'
    """
    counts = zip(*np.unique(wrong, return_counts=True), strict=True)
    indices = [f"{value} ({count_text(count, 'pixel')})" for value, count in counts]
    return f"It holds indices without a class: {join_names(indices, LISTED)}"


def unknown_indices(
    numbers: Array,
    wrong: Bools,
    options: Numbering,
    classes: Sequence[str],
    *,
    ignore: Sequence[int],
    path: Path,
) -> LabelError:
    """The error about indices without a class.

    `numbers` [h, w] are as stored; `options` have no `ids`.
    """
    values = np.unique(numbers[wrong]).tolist()
    void = (*default_void(numbers.dtype), *ignore)
    present = np.setdiff1d(numbers, np.array(void, np.int64))
    last = options.first + len(classes) - 1
    many = len(values) >= MANY
    hints = ["Fix the label"]
    if many:
        hints = [
            "So many come from a smooth change of size, which also puts wrong classes elsewhere: "
            "get the file as it was before"
        ]
    declare: dict[str, object] = {}
    if options.counts_from_zero and present[0] >= 0 and present[-1] == len(classes):
        hints.append("if the classes count from 1, and 0 means 'not labelled': `first = 1`")
        declare["first"] = 1
    from_one = "first" in declare and present.tolist() == list(range(1, len(classes) + 1))
    if values[0] > last and not from_one:
        missing = values[-1] - last
        them = "missing class" if missing == 1 else f"{missing} missing classes"
        if many:
            them = "missing classes"
        hints.append(f"add the {them} to `classes`, in the order of their indices")
        if missing <= LISTED:
            numbered = [f"NAME{number}" for number in range(1, missing + 1)]
            declare["classes"] = numbered if missing > 1 else ["NAME"]
    if len(present) == len(values) == len(classes):
        ids = dict(zip(map(str, values), classes, strict=True))
        hints.append(f"say which number is which class, such as `ids = {inline_table(ids)}`")
        declare["ids"] = ids
    if len(values) <= LISTED and len(present) > len(values) and not from_one:
        declare["ignore"] = [*ignore, *values]
        hints.append(
            f"declare the numbers that mean 'not labelled': `ignore = {declare['ignore']}`"
        )
    return LabelError(
        f"{unnamed(numbers[wrong])}: its {len(classes)} classes are {options.first} to {last}.",
        where=path,
        next_step=f"{'; or '.join(hints)}.",
        declare=declare,
    )


def unknown_ids(wrong: NDArray[Any], options: Numbering, path: Path) -> LabelError:
    """The error about numbers, stored where no class is, that `ids` does not have."""
    values = np.unique(wrong).tolist()
    ignored = {str(value): IGNORE for value in values}
    shown = dict(list(ignored.items())[:LISTED])
    declare = {}
    if len(values) <= LISTED:
        declare["ids"] = {**options.ids, **ignored}
    return LabelError(
        f"{unnamed(wrong)}, which `ids` does not name.",
        where=path,
        next_step=f"Name them in `ids`, with a class or '{IGNORE}': `{inline_table(shown)}`.",
        declare=declare,
    )


def only_two_ends(
    numbers: Array, classes: Sequence[str], ignore: Sequence[int], path: Path
) -> LabelError:
    """The error about a map of 0 and 255 alone, of a task with two classes."""
    ids = {"0": classes[0], "255": classes[1]}
    declare = {"ids": ids, "ignore": [*ignore, 255]}
    return LabelError(
        f"This class map holds 0 and 255 alone; {(numbers == 255).mean():.0%} of its pixels are "
        "255.",
        where=path,
        next_step=f"Declare what 255 is. If it is '{classes[1]}': `ids = {inline_table(ids)}`. If "
        f"it means 'not labelled': `ignore = {declare['ignore']}`.",
        declare=declare,
    )


def no_indices(stored: Array, path: Path) -> LabelError:
    """The error about channels that differ, of a task whose files hold no colours."""
    shown = ""
    if stored.ndim == 3 and stored.shape[-1] == 3 and stored.dtype == np.uint8:
        codes = colour_codes(stored)
        counts = count_colours(codes)
        colours = [f"{colour_text(code)} ({counts[code] / codes.size:.1%})" for code in counts]
        shown = f": {join_names(colours, LISTED)}"
    return LabelError(
        "A class map holds one class index per pixel; "
        f"this one holds {stored.shape[-1]} channels of colour{shown}.",
        where=path,
        next_step="Write indices: an 8- or 16-bit grey PNG, or a palette PNG. Or declare the "
        'colour of each class: `colours = {CLASS = "#rrggbb"}`, or a colour map: '
        '`colours = "colours.txt"`.',
    )


def unknown_colours(
    wrong: Ints, options: Numbering, named: Mapping[int, str], path: Path
) -> LabelError:
    """The error about colours 0xrrggbb, stored where no class is, that `colours` does not have."""
    counts = count_colours(wrong)
    shown = []
    for code in list(counts)[:LISTED]:
        near = nearest_colour(code, named)
        pixels = count_text(counts[code], "pixel")
        nearest = f"{colour_text(near)}, '{named[near]}'"
        shown.append(f"{colour_text(code)} ({pixels}; the nearest is {nearest})")
    if len(counts) > LISTED:
        shown.append(f"and {len(counts) - LISTED} more")
        return LabelError(
            f"It holds colours without a class: {', '.join(shown)}.",
            where=path,
            next_step="So many colours come from JPEG or from a smooth change of size: get the "
            "file as it was before. Or name them in `colours`.",
        )
    ignored = [*several(options.colours.get(IGNORE, ())), *map(colour_text, counts)]
    return LabelError(
        f"It holds colours without a class: {', '.join(shown)}.",
        where=path,
        next_step=f"Name them in `colours`, with a class or '{IGNORE}': "
        f"`{IGNORE} = {as_toml(ignored)}`.",
        declare={"colours": {**options.colours, IGNORE: ignored}},
    )


def inline_table(values: Mapping[str, str]) -> str:
    """A TOML table of numbers and names.

    Example:
        >>> inline_table({"0": "wall"})
        '{0 = "wall"}'
    """
    pairs = [f"{number} = {as_toml(name)}" for number, name in values.items()]
    return "{" + ", ".join(pairs) + "}"
