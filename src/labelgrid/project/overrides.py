"""Turns overrides of recipe keys into tables, and into words. Loads no torch."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from labelgrid.basics.config import tables_of
from labelgrid.basics.errors import RecipeError


def override_tables(values: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides as tables of a recipe; their keys may have dots between tables.

    Raises:
        RecipeError: a value is null, or holds one.

    Example:
        >>> override_tables({"train.steps": 2000, "data": {"size": [64, 96]}, "data.fit": "crop"})
        {'data': {'size': [64, 96], 'fit': 'crop'}, 'train': {'steps': 2000}}
    """
    key = next(_nulls(values), None)
    if key is not None:
        raise RecipeError(
            f"{key}: a recipe has no null.", next_step="Leave the key out, or give a value."
        )
    return tables_of(values)


def override_words(tables: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return tables as `KEY=VALUE` words of the command line.

    Example:
        >>> override_words({"data": {"size": [64, 96]}, "train": {"norm": "frozen"}})
        ['data.size=[64, 96]', 'train.norm="frozen"']
    """
    words = []
    for name, value in tables.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            words += override_words(value, f"{key}.")
        else:
            words.append(f"{key}={json.dumps(value)}")
    return words


def _nulls(values: Any, key: str = "") -> Iterator[str]:
    """The dotted keys of nested values that are null."""
    if isinstance(values, Mapping):
        prefix = f"{key}." if key else ""
        for name, value in values.items():
            yield from _nulls(value, f"{prefix}{name}")
    elif values is None:
        yield key
