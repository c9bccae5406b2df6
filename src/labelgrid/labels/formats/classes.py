"""How a class map lies in a file: a PNG of class indices, with the numbers that mean "not labelled"."""

from dataclasses import dataclass

EXTENSIONS = (".png",)


@dataclass(frozen=True)
class Options:
    """What a class map's numbers mean.

    Args:
        classes: the names; the index in the file is the place in this list.
        ignore: numbers that mean "not labelled" besides 255 (8-bit) and 65535 (16-bit).
    """

    classes: tuple[str, ...]
    ignore: tuple[int, ...] = ()
