"""Says whether a request may be written into a folder: new, empty, or with an earlier request."""

from pathlib import Path

from labelgrid.basics.errors import ProjectError


def is_vacant(out: Path) -> bool:
    """Whether a folder is missing, or holds at most hidden files."""
    if not out.exists():
        return True
    return out.is_dir() and all(path.name.startswith(".") for path in out.iterdir())


def foreign_folder_error(out: Path, kind: str = "request") -> ProjectError:
    """The error of a folder that holds something else.

    Example:
        >>> print(foreign_folder_error(Path("out")))
        The folder is neither empty nor an earlier request (out).
          Name a new one with --out. Nothing was written.
    """
    return ProjectError(
        f"The folder is neither empty nor an earlier {kind}.",
        where=out,
        next_step="Name a new one with --out.",
        unchanged="Nothing was written.",
    )
