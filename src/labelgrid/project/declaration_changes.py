"""Compares the declarations of tasks now and at the training of a model.

Loads no torch.
"""

import json
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING

from labelgrid.basics.type_names import Json, Values
from labelgrid.project.records import Fit

if TYPE_CHECKING:
    from labelgrid.tasks.task import TaskDef, TaskDefs


def target_declarations(definitions: "TaskDefs") -> dict[str, Json]:
    """The declarations that a model's targets depend on, by task, as JSON values.

    That is the kinds and the options of label files, not the costs. Options at their defaults are
    left out, so that a new option makes no model stale.
    """
    declarations = {}
    for name, task in definitions.items():
        declarations[name] = _without_defaults({"kind": task.kind, **asdict(task.form)}, task)
    return declarations


def redeclared_tasks(fit: Fit, definitions: "TaskDefs") -> list[str]:
    """The tasks whose declaration changed since the model was trained."""
    now = target_declarations(definitions)
    changed = []
    for name, then in fit.tasks.items():
        if name in now and now[name] != _without_defaults(then, definitions[name]):
            changed.append(name)
    return changed


def _without_defaults(values: Values, task: "TaskDef") -> Json:
    """The values besides the defaults of a task's options, as JSON returns values."""
    defaults = {}
    for option in fields(task.form):
        if option.default_factory is not MISSING:
            defaults[option.name] = option.default_factory()
        elif option.default is not MISSING:
            defaults[option.name] = option.default
    plain: Json = json.loads(json.dumps(dict(values)))
    usual = json.loads(json.dumps(defaults))
    return {
        name: value for name, value in plain.items() if name not in usual or usual[name] != value
    }
