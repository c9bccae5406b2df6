"""Compares what tasks declare now with what they declared when a model was trained.

Loads no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any

from labelgrid.project.records import Fit

if TYPE_CHECKING:
    from labelgrid.tasks.task import TaskDef


def target_declarations(definitions: "Mapping[str, TaskDef]") -> dict[str, dict[str, Any]]:
    """What a model's targets depend on, by task, as JSON values.

    That is the kinds and the options of label files, not the costs. Options at their defaults are
    left out, so that a new option makes no model stale.
    """
    declared = {}
    for name, task in definitions.items():
        declared[name] = _without_defaults({"kind": task.kind, **asdict(task.form)}, task)
    return declared


def redeclared_tasks(fit: Fit, definitions: "Mapping[str, TaskDef]") -> list[str]:
    """The tasks that declare something else than when the model was trained."""
    now = target_declarations(definitions)
    changed = []
    for name, then in fit.tasks.items():
        if name in now and now[name] != _without_defaults(then, definitions[name]):
            changed.append(name)
    return changed


def _without_defaults(values: Mapping[str, Any], task: "TaskDef") -> dict[str, Any]:
    """The values, as JSON returns them, that are not the defaults of a task's options."""
    defaults = {}
    for option in fields(task.form):
        if option.default_factory is not MISSING:
            defaults[option.name] = option.default_factory()
        elif option.default is not MISSING:
            defaults[option.name] = option.default
    plain: dict[str, Any] = json.loads(json.dumps(dict(values)))
    usual = json.loads(json.dumps(defaults))
    return {
        name: value for name, value in plain.items() if name not in usual or usual[name] != value
    }
