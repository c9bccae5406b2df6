"""Finds the folder of an answer in folders that hold nothing else, as programs pack them."""

from pathlib import Path

#: What Macs pack beside the files.
_BESIDE = "__MACOSX"


def inner_folder(folder: Path) -> Path | None:
    """The folder that is all that a folder holds but for hidden files; None if it holds others.

    A link is none. It raises nothing.
    """
    try:
        inside = [each for each in folder.iterdir() if not _is_hidden(each)]
    except OSError:
        return None
    if len(inside) != 1 or inside[0].is_symlink() or not inside[0].is_dir():
        return None
    return inside[0]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == _BESIDE
