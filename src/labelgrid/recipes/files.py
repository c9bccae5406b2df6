"""Finds the files of the shipped recipes: those to start from, and the published ones."""

from functools import cache
from importlib import resources
from pathlib import Path


@cache
def recipe_files() -> dict[str, Path]:
    """The files of the shipped recipes, by name; none is opened.

    Example:
        >>> "small" in recipe_files()
        True
    """
    folder = Path(str(resources.files("labelgrid.recipes")))
    paths = [*sorted(folder.glob("*.toml")), *sorted(folder.glob("published/*.toml"))]
    return {path.stem: path for path in paths}


def shipped_recipes() -> dict[str, str]:
    """The first lines of the shipped recipes, by name: what each is for."""
    lines = {}
    for name, path in recipe_files().items():
        text = path.read_text(encoding="utf-8")
        lines[name] = text.partition("\n")[0].removeprefix("# ")
    return lines
