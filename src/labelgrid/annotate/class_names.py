"""Matches the names that a tool's regions have with the tasks of the project, never by order."""

from collections.abc import Collection
from dataclasses import dataclass

from labelgrid.annotate.answers import plain_spelling, spelling_hint
from labelgrid.annotate.import_options import IGNORE, NONE, ImportOptions
from labelgrid.basics.errors import LabelError
from labelgrid.basics.words import join_names
from labelgrid.formats.regions import IGNORED
from labelgrid.tasks.task import TaskDef, TaskDefs


@dataclass(frozen=True)
class NameTarget:
    """The meaning of a region's name: a task, and the number of the name there, or `IGNORED`."""

    task: str
    number: int


class ClassNames:
    """The names of regions that the tasks of a project know.

    A name is known if it is that of a class, but for capitals and for "_" and "-" instead of
    blanks. Regions of a task without classes, such as saliency, are named after the task.

    Args:
        tasks: the project's tasks; those whose labels cannot be drawn as regions are left out.
        options: the options that name the task, and other names of classes.
        heard: gets the names that are asked for, and whether a task knows them.

    Raises:
        LabelError: the options name no task that can be drawn, or no class.
    """

    def __init__(
        self, tasks: TaskDefs, options: ImportOptions, heard: dict[str, bool] | None = None
    ) -> None:
        self._options = options
        self._meanings = options.meanings
        self._heard = {} if heard is None else heard
        drawn = {name: task for name, task in tasks.items() if task.region_names}
        self._tasks = _chosen(drawn, options.task)
        self._numbers: dict[str, dict[str, int]] = {}
        for name, task in self._tasks.items():
            plain = {}
            for number, region in enumerate(task.region_names):
                plain[plain_spelling(region)] = number
            self._numbers[name] = plain
        spellings = set[str]().union(*self._numbers.values())
        rest = [options.rest] if options.rest not in ("", NONE) else []
        for target in [*options.names.values(), *rest]:
            if plain_spelling(target) not in spellings and target != IGNORE:
                raise LabelError(
                    f"'{target}' is no class of {join_names(list(self._tasks))}.",
                    next_step=spelling_hint(target, sorted(spellings)) or self._advice(),
                )

    def targets(
        self, names: Collection[str], task: str = "", *, optional: Collection[str] = ()
    ) -> dict[str, NameTarget]:
        """The meaning of each name.

        The task that knows all names counts, or else the only task that knows the name.

        Args:
            names: the names of regions, which a task must know.
            task: the task of the names, if known.
            optional: further names, which mean "not labelled" if no task knows them.

        Raises:
            LabelError: a name is unknown, or several tasks know it, or the task cannot be drawn.
        """
        chosen = _chosen(self._tasks, task)
        knowing = {name: self._tasks_knowing(name) & chosen.keys() for name in names}
        for name in optional:
            knowing[name] = self._tasks_knowing(name) & chosen.keys() or set(chosen)
        self._heard.update((name, bool(tasks)) for name, tasks in knowing.items())
        unknown = sorted(name for name, tasks in knowing.items() if not tasks)
        if unknown:
            raise self._unknown(unknown, chosen, task)
        common = set(chosen).intersection(*knowing.values())
        unsure = sorted(name for name, tasks in knowing.items() if len(tasks) > 1)
        if len(common) != 1 and unsure:
            tasks = sorted(set().union(*(knowing[name] for name in unsure)))
            raise LabelError(
                f"The labels could be of {join_names(tasks, between=' or ')}: "
                f"these know {join_names(unsure, 5)}.",
                next_step=f"Name the task, such as --task {tasks[0]}.",
            )
        if len(common) == 1:
            knowing = dict.fromkeys(knowing, common)
        return {name: self._target(name, min(tasks)) for name, tasks in knowing.items()}

    def knows(self, name: str) -> bool:
        """Whether a task knows a name, or a person said its meaning."""
        return bool(self._tasks_knowing(name))

    def rest(self, task: str) -> int | None:
        """The number of pixels that no region covers; None: not labelled."""
        return self._numbers[task].get(plain_spelling(self._options.rest_of(task)))

    def rest_name(self, task: str) -> str:
        """The class of uncovered pixels: a name, "ignore", or empty if nobody said a class."""
        name = self._options.rest_of(task)
        return name if name == IGNORE or self.rest(task) is not None else ""

    def _tasks_knowing(self, name: str) -> set[str]:
        target = self._meanings.get(name, name)
        if target == IGNORE:
            return set(self._tasks)
        plain = plain_spelling(target)
        tasks = set()
        for task, numbers in self._numbers.items():
            if plain in numbers:
                tasks.add(task)
        return tasks

    def _target(self, name: str, task: str) -> NameTarget:
        plain = plain_spelling(self._meanings.get(name, name))
        return NameTarget(task, self._numbers[task].get(plain, IGNORED))

    def _unknown(self, unknown: list[str], chosen: TaskDefs, task: str) -> LabelError:
        options = self._options
        first = unknown[0]
        classes = set[str]()
        for drawn in chosen.values():
            classes.update(drawn.region_names)
        nobody = f"'{task}' has no such class" if task else "no task has such a class"
        kept = ""
        if first in options.kept_names and first not in options.names:
            kept = (
                f" `[names]` of labelgrid.toml says that '{first}' means "
                f"'{options.kept_names[first]}', which was a class when it was written."
            )
        hint = spelling_hint(first, sorted(classes))
        return LabelError(
            f"{join_names([repr(name) for name in unknown], 10)}: {nobody}.{kept}",
            next_step=f"{hint} Say what it is: --map '{first}=CLASS', or "
            f"--map '{first}=ignore' for not labelled. {self._advice()}".lstrip(),
        )

    def _advice(self) -> str:
        lists = []
        for name, task in self._tasks.items():
            lists.append(f"{name} has {join_names(task.region_names, 10)}")
        return f"Of the tasks, {join_names(lists, 5, '; ')}."


def _chosen(drawn: TaskDefs, name: str) -> dict[str, TaskDef]:
    chosen = {}
    for task in drawn:
        if name in ("", task):
            chosen[task] = drawn[task]
    if not chosen:
        message = "No task of the project has labels that can be drawn as regions."
        if drawn:
            message = f"'{name}' is no task whose labels can be drawn as regions."
        raise LabelError(message, next_step=f"Such tasks are: {join_names(list(drawn)) or 'none'}.")
    return chosen
