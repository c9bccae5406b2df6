"""Leaves tasks out of a recipe, for runs of a study with some of the study's tasks.

Loads no torch.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from labelgrid.basics import plugins
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.type_names import Json, Values

#: The key of a recipe's changes that lists the tasks to leave out.
WITHOUT = "without_tasks"
#: Stands for a list that is left empty.
EMPTY: Any = object()


def remove_tasks(tables: Values, tasks: Collection[str]) -> Json:
    """The tables of a recipe without all values for some tasks.

    The objective's weights and losses lose these tasks, and so do `mix_tasks` of the training, and
    lists and tables in the options of the network, the balancer and the terms. A term is removed if
    a list in its options becomes empty, which would mean all tasks; a relation, if it connects a
    removed task. A supplier's trust in them goes.

    Args:
        tables: the tables of a recipe, by name; they stay as they are.
        tasks: the tasks to leave out.

    Raises:
        RecipeError: `tasks` is not a list of names, or an option names one of them in a way that
            cannot be left out.

    Example:
        >>> weights = {"depth": 2.0, "parts": 1.0}
        >>> remove_tasks({"objective": {"weights": weights}, "terms": {"mtpsl": {}}}, ["depth"])
        {'objective': {'weights': {'parts': 1.0}}, 'terms': {'mtpsl': {}}}
    """
    if isinstance(tasks, str) or not all(isinstance(task, str) for task in tasks):
        raise RecipeError(f"{WITHOUT} must be a list of names of tasks; it is {tasks!r}.")
    result = dict(tables)
    train = _table(tables, "train")
    if train.get("mix_tasks"):
        result["train"] = _train(train, tasks)
    for part, folder in (("network", "networks"), ("balance", "balance")):
        choice = _table(tables, part)
        options = _table(choice, "options")
        if options:
            plugin = choice.get("name", "")
            remaining = _options(folder, plugin, options, tasks)
            if remaining is EMPTY:
                raise _task_error(plugin, _find_tasks(options, tasks)[0])
            result[part] = {**choice, "options": remaining}
    parts = (
        ("objective", _objective),
        ("terms", _terms),
        ("relations", _relations),
        ("suppliers", _suppliers),
    )
    for part, keep in parts:
        table = _table(tables, part)
        if table:
            result[part] = keep(table, tasks)
    return result


def _objective(objective: Values, tasks: Collection[str]) -> Json:
    return {name: _remove_from(value, tasks) for name, value in objective.items()}


def _relations(relations: Values, tasks: Collection[str]) -> Json:
    """The relations that name none of the tasks; a relation may need a task without a name."""
    remaining = {}
    for name, table in relations.items():
        named = {*table.get("reads", ()), table.get("gives", "")}
        if not named.intersection(tasks):
            remaining[name] = {**table, "if_possible": True}
    return remaining


def _suppliers(suppliers: Values, tasks: Collection[str]) -> Json:
    return {name: _objective(table, tasks) for name, table in suppliers.items()}


def _train(train: Values, tasks: Collection[str]) -> Json:
    """The training's options without the tasks; without a task to mix for, no images are mixed."""
    remaining = _remove_from(train["mix_tasks"], tasks)
    if remaining is EMPTY:
        return {**train, "mix": "none", "mix_tasks": []}
    return {**train, "mix_tasks": remaining}


def _terms(terms: Values, tasks: Collection[str]) -> Json:
    remaining_terms = {}
    for name, options in terms.items():
        remaining = _options("terms", name, options, tasks)
        if remaining is not EMPTY:
            remaining_terms[name] = remaining
    return remaining_terms


def _table(tables: Values, name: str) -> Values:
    table = tables.get(name)
    return table if isinstance(table, Mapping) else {}


def _options(folder: str, plugin: str, options: Any, tasks: Collection[str]) -> Any:
    """A plug-in's options without the tasks; EMPTY if a list is left empty.

    A value that is no table is returned.
    """
    if not isinstance(options, Mapping):
        return options
    remaining = {name: _remove_from(value, tasks) for name, value in options.items()}
    named_tasks = _find_tasks(remaining, tasks)
    # In the options of shipped plug-ins, single words are no tasks.
    if named_tasks and plugin not in plugins.names(folder):
        raise _task_error(plugin, named_tasks[0])
    if EMPTY in _words(remaining):
        return EMPTY
    return remaining


def _remove_from(value: Any, tasks: Collection[str]) -> Any:
    """An option without the tasks: keys of tables, and the parts of lists that name tasks.

    EMPTY if all parts of a list name them.
    """
    if isinstance(value, Mapping):
        kept = {}
        for name, item in value.items():
            if name not in tasks:
                kept[name] = _remove_from(item, tasks)
        return kept
    if not isinstance(value, list | tuple):
        return value
    remaining = [item for item in value if not _find_tasks(item, tasks)]
    if value and not remaining:
        return EMPTY
    return remaining


def _find_tasks(value: Any, tasks: Collection[str]) -> list[str]:
    return [word for word in _words(value) if word in tasks]


def _words(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _words(item)
    else:
        yield value


def _task_error(plugin: str, task: str) -> RecipeError:
    return RecipeError(
        f"An option of '{plugin}' names the task '{task}', so it cannot be used without it.",
        next_step="Override this option in the `changes` of the runs without this task, such as "
        "[simulate.changes.single], or in those of their arm.",
        unchanged="Nothing was run.",
    )
