"""Lists which settings of a training are other than in the round before. Loads no torch."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from labelgrid.project.records import Fit
from labelgrid.train.train_options import HARDWARE, WITHOUT_EFFECT

#: The table of a recipe that shapes no training.
SCORE = "score"
#: A value with more characters is not shown.
LONGEST = 40


def changes_by_round(fits: Sequence[Fit]) -> dict[int, list[str]]:
    """By round, the settings that are other than in the training before; only rounds with some.

    Args:
        fits: the finished trainings, ordered by round.
    """
    changes = {}
    for before, after in pairwise(fits):
        changed = setting_changes(before, after)
        if changed:
            changes[after.round] = changed
    return changes


def setting_changes(before: Fit, after: Fit) -> list[str]:
    """What a training does otherwise than another one: settings of the recipe, seed, tasks.

    Settings that change no result are left out.
    """
    old = _settings(before)
    new = _settings(after)
    if before.tasks and after.tasks:  # older records lack them
        old |= _flat(before.tasks, "task.")
        new |= _flat(after.tasks, "task.")
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return [_in_words(key, old.get(key), new.get(key)) for key in changed]


def _settings(fit: Fit) -> dict[str, Any]:
    """All that shapes a training, by its name with dots."""
    recipe = {name: table for name, table in fit.recipe.items() if name != SCORE}
    settings = _flat({**recipe, "seed": fit.seed})
    settings["network outside the program"] = bool(fit.predictions)
    for name in (*WITHOUT_EFFECT, *HARDWARE):
        settings.pop(f"train.{name}", None)
    return settings


def _flat(tables: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """The values of nested tables by their names with dots.

    Example:
        >>> _flat({"train": {"steps": 9}, "seed": 0})
        {'train.steps': 9, 'seed': 0}
    """
    values: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{start}{name}.")
        else:
            values[f"{start}{name}"] = value
    return values


def _in_words(key: str, old: Any, new: Any) -> str:
    """A change such as `train.steps 100 → 200`; its name alone if the values are long."""
    text = f"{key} {_value(old)} → {_value(new)}"
    return text if len(text) <= len(key) + LONGEST else key


def _value(value: Any) -> str:
    return "none" if value is None else json.dumps(value).strip('"')
