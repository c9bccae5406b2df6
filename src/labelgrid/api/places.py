"""Defines how callers name files and folders."""

from pathlib import Path

#: The path of a file or folder.
Place = str | Path


def optional_path(place: Place | None) -> Path | None:
    """A place as a path; None, or an empty text, is none.

    Example:
        >>> optional_path(""), optional_path("weights.pt")
        (None, PosixPath('weights.pt'))
    """
    return Path(place) if place else None
