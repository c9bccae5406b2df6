"""Lists the settings of a training that changed since the round before. Loads no torch."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from labelgrid.basics.type_names import Json, Values
from labelgrid.project.records import Fit
from labelgrid.train.train_options import HARDWARE, WITHOUT_EFFECT

#: The table of a recipe that shapes no training.
SCORE = "score"
#: A value with more characters is not shown.
LONGEST = 40
#: Options that older records lack, with what they mean there.
NEWER = {
    "backbone.train": "full",
    "backbone.rate": 1.0,
    "data.kept_views": 0,
    "objective.pixels": 0,
}


def changes_by_round(fits: Sequence[Fit]) -> dict[int, list[str]]:
    """The changed settings by round; rounds without a change are left out."""
    changes = {after.round: setting_changes(before, after) for before, after in pairwise(fits)}
    return {round: changed for round, changed in changes.items() if changed}


def setting_changes(before: Fit, after: Fit) -> list[str]:
    """The changes from a training to another: settings of the recipe, seed, tasks.

    Settings that change no result are left out.
    """
    old = _settings(before)
    new = _settings(after)
    if before.tasks and after.tasks:  # older records lack them
        old |= _flat(before.tasks, "task.")
        new |= _flat(after.tasks, "task.")
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return [_in_words(key, old.get(key), new.get(key)) for key in changed]


def _settings(fit: Fit) -> Json:
    recipe = {name: table for name, table in fit.recipe.items() if name != SCORE}
    settings = _flat({**recipe, "seed": fit.seed})
    settings["network outside the program"] = bool(fit.predictions)
    for name in (*WITHOUT_EFFECT, *HARDWARE):
        settings.pop(f"train.{name}", None)
    settings.pop("backbone.kept", None)
    for name, value in NEWER.items():
        settings.setdefault(name, value)
    return settings


def _flat(tables: Values, start: str = "") -> Json:
    """The values of nested tables by their names with dots.

    Example:
        >>> _flat({"train": {"steps": 9}, "seed": 0})
        {'train.steps': 9, 'seed': 0}
    """
    values: Json = {}
    for name, value in tables.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{start}{name}.")
        else:
            values[f"{start}{name}"] = value
    return values


def _in_words(key: str, old: Any, new: Any) -> str:
    """A change such as `train.steps 100 → 200`, or the name alone for long values."""
    text = f"{key} {_value(old)} → {_value(new)}"
    return text if len(text) <= len(key) + LONGEST else key


def _value(value: Any) -> str:
    return "none" if value is None else json.dumps(value).strip('"')
