"""Defines how callers name files and folders."""

from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.basics.errors import UsageError

if TYPE_CHECKING:
    from labelgrid.storage.addresses import Address

#: The path of a file or folder.
Place = str | Path


def path_or_address(place: Place) -> "Path | Address":
    """A place as a path, or as the address of objects.

    Raises:
        UsageError: the text is empty, the address holds a secret, or its scheme is unknown.

    Example:
        >>> path_or_address("photos"), path_or_address("s3://bucket/photos")
        (PosixPath('photos'), 's3://bucket/photos')
    """
    if place == "":
        raise UsageError(
            "An empty text names no file, folder or address.",
            next_step="Name one; a single point is the current folder.",
        )
    if ":/" not in str(place):
        return Path(place)
    from labelgrid.storage.addresses import place_of  # most projects have no objects

    return place_of(place)


def optional_path(place: Place | None) -> Path | None:
    """A place as a path; None, or an empty text, is none.

    Example:
        >>> optional_path(""), optional_path("weights.pt")
        (None, PosixPath('weights.pt'))
    """
    return Path(place) if place else None
