"""Finds the shipped relations that may hold between the tasks of a project."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import product

from labelgrid.basics import plugins
from labelgrid.basics.errors import RecipeError
from labelgrid.relations.bound import (
    BoundRelation,
    bind,
    connect,
    connected_tasks,
    declared_relations,
    relation_of,
    undeclared_relations,
)
from labelgrid.relations.choice import RelationChoice, RelationChoices
from labelgrid.tasks.task import TaskDefs


def offered_relations(choices: RelationChoices, tasks: TaskDefs) -> dict[str, RelationChoice]:
    """The shipped relations that may hold between the tasks and are not declared.

    Beside the `undeclared_relations`, the result has relations for which several tasks are of a
    kind and, where none fits by default, relations whose options `connect` finds. No relation in
    the result joins tasks that another offered or declared relation joins.
    """
    used = {choice.plugin or name for name, choice in choices.items()}
    fitting = undeclared_relations(choices, tasks)
    offered = {}
    joined = {(relation.reads, relation.gives) for relation in declared_relations(choices, tasks)}
    for plugin in plugins.names("relations"):
        if plugin in used:
            continue
        offers = {plugin: fitting[plugin]} if plugin in fitting else _among(plugin, tasks)
        for name, choice in offers.items():
            relation = connect(name, choice, tasks)
            ends = (relation.reads, relation.gives)
            if not (relation.is_open and ends in joined):
                offered[name] = choice
                joined.add(ends)
    return offered


def _among(plugin: str, tasks: TaskDefs) -> dict[str, RelationChoice]:
    """The relations of a plug-in between any tasks of fitting kinds, by table name.

    Relations that fit with default options or, if none does, relations whose options must be found.
    """
    relation = relation_of(plugin, RelationChoice())
    names: defaultdict[str, list[str]] = defaultdict(list)
    for task in tasks.values():
        names[task.kind].append(task.name)
    ends_by_place = [names[kind] for kind in (*relation.reads, relation.gives)]
    choices = []
    for ends in product(*ends_by_place):
        if len(set(ends)) == len(ends):
            choice = RelationChoice(plugin=plugin, reads=ends[:-1], gives=ends[-1])
            choices.append(choice)
    fitting = [choice for choice in choices if _is_possible(bind, choice, tasks)]
    fitting = fitting or [choice for choice in choices if _is_possible(connect, choice, tasks)]
    if len(fitting) == 1:
        return {plugin: replace(fitting[0], plugin="")}
    return {"_".join((plugin, *choice.reads, choice.gives)): choice for choice in fitting}


def _is_possible(
    how: Callable[[str, RelationChoice, TaskDefs], BoundRelation],
    choice: RelationChoice,
    tasks: TaskDefs,
) -> bool:
    try:
        how(choice.plugin, choice, tasks)
    except RecipeError:
        return False
    return True


def offered_tasks(tasks: TaskDefs) -> list[str]:
    """The tasks that shipped relations may connect where no relation is declared."""
    connected = set[str]()
    for name, choice in offered_relations({}, tasks).items():
        connected |= connected_tasks(connect(name, choice, tasks))
    return [task for task in tasks if task in connected]
