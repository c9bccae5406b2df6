"""A search for a relation's options as `relate` does it, without a project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labelgrid.relations.bound import BoundRelation
from labelgrid.relations.search import OptionSearch
from labelgrid.relations.true_agreement import TruePair
from labelgrid.tasks.task import TaskDef


def search_of(
    bind: Callable[[Mapping[str, Any]], BoundRelation],
    tries: Sequence[Mapping[str, Any]],
    pairs: Sequence[TruePair],
    task: TaskDef,
) -> OptionSearch:
    """A search that tries these options alone, the first of them first."""
    return OptionSearch(
        relation=replace(bind(tries[0]), tries=tries),
        start=tries[0],
        bind=bind,
        pairs=pairs,
        task=task,
    )
