"""Finds the shipped relations that may hold between the tasks of a project."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

from labelgrid.basics import plugins
from labelgrid.basics.errors import RecipeError
from labelgrid.relations.bound import (
    BoundRelation,
    bind,
    connect,
    declared_relations,
    relation_of,
    undeclared_relations,
)
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import TaskDefs


def offered_relations(
    choices: Mapping[str, RelationChoice], tasks: TaskDefs
) -> dict[str, RelationChoice]:
    """The shipped relations that a recipe does not declare and that may hold between the tasks.

    Beside the `undeclared_relations` these are those of which several tasks are of a kind, and,
    where none fits by default, those whose options are to be found: see `connect`. Of these, none
    joins tasks as another one does, offered or declared.
    """
    used = {choice.plugin or name for name, choice in choices.items()}
    fitting = undeclared_relations(choices, tasks)
    found = {}
    joined = {(relation.reads, relation.gives) for relation in declared_relations(choices, tasks)}
    for plugin in plugins.names("relations"):
        if plugin in used:
            continue
        offers = {plugin: fitting[plugin]} if plugin in fitting else _among(plugin, tasks)
        for name, choice in offers.items():
            relation = connect(name, choice, tasks)
            ends = (relation.reads, relation.gives)
            if not (relation.is_open and ends in joined):
                found[name] = choice
                joined.add(ends)
    return found


def _among(plugin: str, tasks: TaskDefs) -> dict[str, RelationChoice]:
    """The relations of a plug-in between any tasks of its kinds, by the names of their tables.

    Those that fit by default; if there is none, those whose options are to be found.
    """
    relation = relation_of(plugin, RelationChoice())
    kinds = (*relation.reads, relation.gives)
    of_kind = [_of_kind(kind, tasks) for kind in kinds]
    choices = [
        RelationChoice(plugin=plugin, reads=ends[:-1], gives=ends[-1])
        for ends in product(*of_kind)
        if len(set(ends)) == len(ends)
    ]
    fitting = [choice for choice in choices if _is_possible(bind, choice, tasks)]
    fitting = fitting or [choice for choice in choices if _is_possible(connect, choice, tasks)]
    if len(fitting) == 1:
        return {plugin: replace(fitting[0], plugin="")}
    return {"_".join((plugin, *choice.reads, choice.gives)): choice for choice in fitting}


def _of_kind(kind: str, tasks: TaskDefs) -> list[str]:
    return [task.name for task in tasks.values() if task.kind == kind]


def _is_possible(
    how: Callable[[str, RelationChoice, TaskDefs], BoundRelation],
    choice: RelationChoice,
    tasks: TaskDefs,
) -> bool:
    """Whether a relation can be bound so."""
    try:
        how(choice.plugin, choice, tasks)
    except RecipeError:
        return False
    return True


def offered_tasks(tasks: TaskDefs) -> list[str]:
    """The tasks that shipped relations may connect where none is declared, in their order."""
    connected = set[str]()
    for name, choice in offered_relations({}, tasks).items():
        relation = connect(name, choice, tasks)
        connected |= {*relation.reads, relation.gives}
    return [task for task in tasks if task in connected]
