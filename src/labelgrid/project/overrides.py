"""Parses overrides of recipe keys as they are typed. Loads no torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelgrid.basics.config import tables_of
from labelgrid.basics.errors import RecipeError
from labelgrid.project.task_spec import assignments


def parse_overrides(words: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Parse `KEY=VALUE` words into tables of a recipe, such as `train.steps=2000`.

    Args:
        words: keys with dots between tables; values are JSON where they can be, otherwise text.
        option: the option that was typed, for messages.

    Raises:
        ProjectError: a word has no `=`.
        RecipeError: a value is null, or holds one.

    Example:
        >>> parse_overrides(["train.steps=2000", "data.size=[64, 96]", "data.fit=crop"])
        {'data': {'fit': 'crop', 'size': [64, 96]}, 'train': {'steps': 2000}}
    """
    values = assignments(words, option)
    key = next(_nulls(values), None)
    if key is not None:
        raise RecipeError(
            f"{key}: a recipe has no null.",
            where=option,
            next_step="Leave the key out, or give a value.",
        )
    return tables_of(values)


def override_words(tables: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the `KEY=VALUE` words that `parse_overrides` parses to these tables.

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
