"""Where a recipe's file is and what it says: found by name, merged with what it extends. Loads no torch."""

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from labelgrid import plugins
from labelgrid.config import merge, parse, read_toml
from labelgrid.errors import RecipeError
from labelgrid.recipes.schema import Recipe


def load_recipe(name: str, changes: Mapping[str, Any] | None = None, beside: Path | None = None) -> Recipe:
    """The recipe `name`, laid over the recipe it extends, with `changes` laid over it.

    Raises:
        RecipeError: it is missing, no TOML, has an unknown key or a wrong value, or extends itself.
    """
    values: dict[str, Any] = {}
    for tables in chain(find(name, beside)):
        own = {key: table for key, table in tables.items() if key not in OTHERS}
        values = lay(values, own)
    return parse(Recipe, lay(values, changes or {}), f"recipe {name}")


#: What a recipe's file may say beside the recipe itself, and what each has to be.
OTHERS: Mapping[str, tuple[type, str]] = {
    "extends": (str, "the name or path of a recipe"),
    "simulate": (dict, "a table"),  # what is run with it; see `labelgrid.simulation.study`
}


def find(name: str, beside: Path | None = None) -> Path:
    """The file of a recipe: a shipped one's name, or a path (relative to the folder `beside`).

    Raises:
        RecipeError: there is none.
    """
    if name in plugins.recipes():
        return Path(str(resources.files("labelgrid.recipes") / f"{name}.toml"))
    path = (beside or Path()) / name
    if path.is_file():
        return path
    raise RecipeError(
        f"There is no recipe '{name}'.",
        next_step=f"Shipped: {', '.join(plugins.recipes())}; your own goes by its path, such as ./mine.toml.",
    )


def chain(path: Path, seen: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """What a recipe's file says, after what those say that it extends, the farthest first.

    Raises:
        RecipeError: one is missing, is no TOML, or extends itself; `extends` or `simulate` is of another kind.
    """
    if path in seen:
        raise RecipeError("The recipe extends itself.", where=" -> ".join(map(str, (*seen, path))))
    values = read_toml(path)
    for key, (kind, said) in OTHERS.items():
        if not isinstance(values.get(key, kind()), kind):
            raise RecipeError(f"{key} must be {said}; it is {values[key]!r}.", where=str(path))
    base = values.get("extends")
    return [*(chain(find(base, path.parent), (*seen, path)) if base else ()), values]


def lay(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a recipe over others; a change of the length in epochs ends a length in steps below it.

    Example:
        >>> lay({"train": {"steps": 500, "batch": 8}}, {"train": {"epochs": 20}})
        {'train': {'steps': 0, 'batch': 8, 'epochs': 20}}
    """
    merged, train = merge(base, change), change.get("train", {})
    if isinstance(train, Mapping) and "epochs" in train and "steps" not in train:
        merged["train"] = {**merged["train"], "steps": 0}
    return merged


def hash_of(*parts: Any) -> str:
    """A short hash of JSON values, for stamps."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
