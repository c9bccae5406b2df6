"""Replaces each value in a JSON file by a wrong one, in turn."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labelgrid.annotate.connector import Connector, ProjectIndex
from labelgrid.basics.errors import LabelgridError

ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**400, 1e300, "", "x", "\ud800", [], [[]], {})


def is_read_without_another_error(
    connector: Connector, answer: Path, file: Path, index: ProjectIndex
) -> int:
    """Receive an answer with each value of its file replaced; returns how often it was accepted.

    Labels are painted; any error but those for users is raised.
    """
    good = json.loads(file.read_text())
    accepted = 0
    for value in odd_values(good):
        file.write_text(json.dumps(value))
        try:
            answers = connector.receive(answer, index)
            for label in answers.labels:
                label.label()  # type: ignore[operator]
        except LabelgridError as error:
            assert error.what
            continue
        accepted += not answers.faults
        for fault in answers.faults:
            assert fault.where and fault.what
    file.write_text(json.dumps(good))
    return accepted


def odd_values(good: Any) -> Iterator[Any]:
    """Copies of a value, each with one wrong value in it."""
    for path in _paths(good):
        for odd in ODD:
            changed = copy.deepcopy(good)
            if not path:
                yield odd
                continue
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = odd
            yield changed


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, inner in entries:
        for path in _paths(inner):
            yield (key, *path)
