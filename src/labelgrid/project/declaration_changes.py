"""Compares what tasks declare now with what they declared when a model was trained.

Loads no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from labelgrid.project.records import Fit

if TYPE_CHECKING:
    from labelgrid.tasks.task import TaskDef


def target_declarations(definitions: "Mapping[str, TaskDef]") -> dict[str, dict[str, Any]]:
    """What a model's targets depend on, by task, as JSON values.

    That is the kinds and the options of label files, not the costs.
    """
    values = {name: {"kind": task.kind, **asdict(task.form)} for name, task in definitions.items()}
    plain: dict[str, dict[str, Any]] = json.loads(json.dumps(values))
    return plain


def redeclared_tasks(fit: Fit, definitions: "Mapping[str, TaskDef]") -> list[str]:
    """The tasks that declare something else than when the model was trained."""
    now = target_declarations(definitions)
    return [name for name, then in fit.tasks.items() if name in now and now[name] != then]
