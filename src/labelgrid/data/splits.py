"""Reads lists of IDs, by which published data sets name the images of their splits."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from labelgrid.errors import ImageError
from labelgrid.files import read_text
from labelgrid.words import counted


def read_splits(folder: Path, names: Mapping[str, str]) -> dict[str, list[str]]:
    """The image ids of each split, from the files `SPLIT.txt` of a folder, which hold one ID a line.

    Args:
        folder: the folder of the files; a missing one has no splits.
        names: maps an ID to its image id.

    Raises:
        ImageError: a split names an image that does not exist.
    """
    return {path.stem: _split(path, names) for path in sorted(folder.glob("*.txt"))}


def _split(path: Path, names: Mapping[str, str]) -> list[str]:
    ids = read_text(path).split()
    missing = [name for name in ids if name not in names]
    if missing:
        images = counted(len(missing), "image of the split does", "images of the split do")
        raise ImageError(f"{images} not exist, the first is '{missing[0]}'.", where=str(path))
    return [names[name] for name in ids]


def lacking(ids: Collection[str], what: str, has: Callable[[str], object]) -> list[str]:
    """One sentence on the images that have no `what`; no sentence if all have it.

    Example:
        >>> lacking(["a", "b", "c"], "depth", {"a"}.__contains__)
        ['2 of 3 images have no depth, the first is b.']
    """
    missing = [name for name in ids if not has(name)]
    images = counted(len(ids), "image has", "images have")
    return [f"{len(missing):,} of {images} no {what}, the first is {missing[0]}."] if missing else []
