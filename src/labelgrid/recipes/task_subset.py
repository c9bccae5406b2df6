"""Leaves tasks out of a recipe, for runs of a study that have only some of its tasks.

Loads no torch.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from labelgrid import plugins
from labelgrid.errors import RecipeError

#: The key of a recipe's changes that lists the tasks to leave out.
WITHOUT = "without_tasks"
#: Stands for a list that is left empty.
EMPTY: Any = object()


def remove_tasks(tables: Mapping[str, Any], tasks: Collection[str]) -> dict[str, Any]:
    """The tables of a recipe without what they say of some tasks.

    The objective's weights and losses lose these tasks, and so do lists and tables in the options
    of the network, the balancer and the terms. A term goes if a list in its options is left empty,
    which would mean all tasks.

    Args:
        tables: of a recipe, by name; they stay as they are.
        tasks: the tasks to leave out.

    Raises:
        RecipeError: `tasks` is not a list of names, or an option names one of them in a way that
            cannot be left out.

    Example:
        >>> tables = {"objective": {"weights": {"depth": 2.0, "parts": 1.0}}, "terms": {"mtpsl": {}}}
        >>> without_tasks(tables, ["depth"])
        {'objective': {'weights': {'parts': 1.0}}, 'terms': {'mtpsl': {}}}
    """
    if isinstance(tasks, str) or not all(isinstance(task, str) for task in tasks):
        raise RecipeError(f"{WITHOUT} must be a list of names of tasks; it is {tasks!r}.")
    kept = dict(tables)
    objective = _table(kept, "objective")
    terms = _table(kept, "terms")
    if objective:
        kept["objective"] = {name: _kept(value, tasks) for name, value in objective.items()}
    for part, folder in (("network", "networks"), ("balance", "balance")):
        chosen = _table(kept, part)
        if given := _table(chosen, "options"):
            options = _options(folder, chosen.get("name", ""), given, tasks)
            if options is EMPTY:
                raise _needed(
                    chosen.get("name", ""), next(word for word in _words(given) if word in tasks)
                )
            kept[part] = {**chosen, "options": options}
    if terms:
        found = {name: _options("terms", name, given, tasks) for name, given in terms.items()}
        kept["terms"] = {name: options for name, options in found.items() if options is not EMPTY}
    return kept


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One of several tables, empty if it is none."""
    table = tables.get(name)
    return table if isinstance(table, Mapping) else {}


def _options(folder: str, plugin: str, options: Any, tasks: Collection[str]) -> Any:
    """A plug-in's options without the tasks; EMPTY if a list is left empty.

    A value that is no table is returned.
    """
    if not isinstance(options, Mapping):
        return options
    kept = {name: _kept(value, tasks) for name, value in options.items()}
    words = list(_words(kept))
    named = [word for word in words if word in tasks]
    if named and plugin not in plugins.names(
        folder
    ):  # in the options of shipped plug-ins, single words are no tasks
        raise _needed(plugin, named[0])
    return EMPTY if EMPTY in words else kept


def _kept(value: Any, tasks: Collection[str]) -> Any:
    """An option without the tasks: their keys of tables, and the parts of lists that name them.

    EMPTY if all do.
    """
    if isinstance(value, Mapping):
        return {name: _kept(one, tasks) for name, one in value.items() if name not in tasks}
    if not isinstance(value, list | tuple):
        return value
    left = [one for one in value if not any(word in tasks for word in _words(one))]
    return left if left or not value else EMPTY


def _words(value: Any) -> Iterator[Any]:
    """The values in nested tables and lists."""
    if isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _words(one)
    else:
        yield value


def _needed(plugin: str, task: str) -> RecipeError:
    return RecipeError(
        f"An option of '{plugin}' names the task '{task}', so it cannot be used without it.",
        next_step="Override this option in the `changes` of the runs without this task, such as "
        "[simulate.changes.single], or in those of their arm.",
        unchanged="Nothing was run.",
    )
