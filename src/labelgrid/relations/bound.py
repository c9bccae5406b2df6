"""Binds the relations of a recipe to the tasks of a project."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np

from labelgrid.basics import plugins
from labelgrid.basics.camera import Camera
from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import join_names
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.choice import RelationChoice, RelationChoices
from labelgrid.relations.relation import Derive, DerivePredicted, OptionFinder, Relation
from labelgrid.tasks.task import TaskDefs


@dataclass(frozen=True, kw_only=True)
class BoundRelation:
    """A relation between tasks of a project.

    Args:
        name: the name of its table in the recipe.
        reads: the names of the tasks whose labels it reads, in its order.
        gives: the name of the task whose labels it derives.
        trust: see `RelationChoice`.
        exact: see `RelationChoice`.
        coverage: see `RelationChoice`.
        needs_camera: whether it needs the camera that took the image.
        derive: derives a label.
        derive_predicted: derives from predictions, with gradients; None: it cannot.
        margin: see `Relation`.
        guesses: see `Relation`.
        tries: see `Relation`.
        finder: see `Relation`, for these tasks.
        is_open: the options do not fit the tasks and are to be found; nothing is derived yet.
        unsure: see `Relation`.
        turns: see `Relation`.
    """

    name: str
    reads: tuple[str, ...]
    gives: str
    trust: float
    exact: bool
    coverage: float
    needs_camera: bool
    derive: Derive
    derive_predicted: DerivePredicted | None = None
    margin: int | None = None
    guesses: bool = False
    tries: Sequence[Values] = ()
    finder: OptionFinder | None = None
    is_open: bool = False
    unsure: Values = field(default_factory=dict)
    turns: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def follows(self, labelled: Iterable[str]) -> bool:
        """Whether the label follows where an image has labels of these tasks."""
        labelled_tasks = set(labelled)
        return self.gives not in labelled_tasks and labelled_tasks.issuperset(self.reads)

    def label(self, labels: Mapping[str, LabelArray], camera: Camera | None) -> LabelArray:
        """Derive the label from labels of the same image by task.

        Raises:
            LabelError: the relation needs a camera, and it is unknown.
        """
        return self.derive([labels[name] for name in self.reads], camera)

    def guess(self, labels: Mapping[str, LabelArray], camera: Camera | None) -> LabelArray:
        """As `label`, of predictions, and valid also where the relation guesses."""
        label = self.label(labels, camera)
        if not self.guesses:
            return label
        all_valid = np.logical_and.reduce([labels[name].valid for name in self.reads])
        return replace(label, valid=label.valid | all_valid)


def connected_tasks(relation: BoundRelation) -> set[str]:
    """The names of the tasks at both ends of a relation."""
    return {relation.gives, *relation.reads}


def bind_relations(choices: RelationChoices, tasks: TaskDefs) -> list[BoundRelation]:
    """The relations of a recipe that are on, between the tasks of a project.

    The most trusted is first.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is wrong; a task is unknown, missing, of another kind, or one of
            several; or exact relations derive tasks from one another.
    """
    bound = [relation for relation in declared_relations(choices, tasks) if relation.trust]
    bound.sort(key=lambda relation: -relation.trust)
    _refuse_circles([relation for relation in bound if relation.exact])
    return bound


def declared_relations(choices: RelationChoices, tasks: TaskDefs) -> list[BoundRelation]:
    """The relations of a recipe, on or off, in its order; see `bind_relations`."""
    relations = []
    for name, choice in choices.items():
        if not choice.if_possible or _has_tasks(name, choice, tasks):
            relations.append(bind(name, choice, tasks))
    return relations


def related_tasks(choices: RelationChoices, tasks: TaskDefs) -> list[str]:
    """The tasks at the ends of a recipe's relations, on or off, in order.

    Raises:
        PluginError: there is no such relation.
        RecipeError: one is wrong.
    """
    connected = set[str]()
    for relation in declared_relations(choices, tasks):
        connected |= connected_tasks(relation)
    return [task for task in tasks if task in connected]


def undeclared_relations(choices: RelationChoices, tasks: TaskDefs) -> dict[str, RelationChoice]:
    """The shipped relations that fit the tasks by default and are not declared."""
    used = {choice.plugin or name for name, choice in choices.items()}
    fitting = {}
    for name in plugins.names("relations"):
        if name not in used:
            with suppress(RecipeError):  # it needs other tasks, or options
                bind(name, RelationChoice(), tasks)
                fitting[name] = RelationChoice()
    return fitting


def _has_tasks(name: str, choice: RelationChoice, tasks: TaskDefs) -> bool:
    """Whether there is a task for each kind that a relation connects."""
    relation = relation_of(name, choice)
    needed = Counter([*relation.reads, relation.gives])
    return needed <= Counter(task.kind for task in tasks.values())


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Add the table of the recipe to errors that do not say where."""
    try:
        yield
    except RecipeError as error:
        error.where = error.where or where
        raise


def relations_with_camera(choices: RelationChoices) -> list[str]:
    """The names of the relations that are on and need cameras.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is wrong.
    """
    trusted = {name: choice for name, choice in choices.items() if choice.trust}
    names = []
    for name, choice in trusted.items():
        if relation_of(name, choice).needs_camera:
            names.append(name)
    return names


def relation_of(name: str, choice: RelationChoice) -> Relation:
    """The relation of a choice, with its options, between whatever tasks.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is wrong.
    """
    plugin = choice.plugin or name
    where = f"relations.{name}.options"
    options = parse(plugins.options_class("relations", plugin), choice.options, where)
    return plugins.create("relations", plugin, options)


def connect(name: str, choice: RelationChoice, tasks: TaskDefs) -> BoundRelation:
    """A relation that may hold between tasks, as `bind`, also with open options.

    Raises:
        RecipeError: the relation holds with no options.
    """
    try:
        return bind(name, choice, tasks)
    except RecipeError:
        if relation_of(name, choice).finder is None:
            raise
    return bind(name, choice, tasks, is_open=True)


def bind(
    name: str, choice: RelationChoice, tasks: TaskDefs, *, is_open: bool = False
) -> BoundRelation:
    """One relation of a recipe, on or off; see `bind_relations`."""
    derive: Derive = _derive_nothing
    derive_predicted = None
    with _placed(f"relations.{name}"):
        relation = relation_of(name, choice)
        reads, gives = _ends(name, choice, relation, tasks)
        between = ([tasks[task] for task in reads], tasks[gives])
        finder = relation.finder(*between) if relation.finder else None
        if not is_open:
            derive = relation.between(*between)
            if relation.on_predictions:
                derive_predicted = relation.on_predictions(*between)
    return BoundRelation(
        name=name,
        reads=reads,
        gives=gives,
        trust=choice.trust,
        exact=choice.exact,
        coverage=choice.coverage,
        needs_camera=relation.needs_camera,
        derive=derive,
        derive_predicted=derive_predicted,
        margin=relation.margin,
        guesses=relation.guesses,
        tries=relation.tries,
        unsure=relation.unsure,
        turns=relation.turns,
        finder=finder,
        is_open=is_open,
    )


def _derive_nothing(_labels: Sequence[LabelArray], _camera: Camera | None) -> NoReturn:
    raise LabelError(
        "The options of the relation are not known.", next_step="`labelgrid relate DIR` finds them."
    )


def _ends(
    name: str, choice: RelationChoice, relation: Relation, tasks: TaskDefs
) -> tuple[tuple[str, ...], str]:
    where = f"relations.{name}"
    if choice.reads and len(choice.reads) != len(relation.reads):
        raise RecipeError(
            f"reads has {len(choice.reads)} tasks; '{choice.plugin or name}' reads one of each "
            f"kind: {join_names(relation.reads)}.",
            where=where,
        )
    given = choice.reads or ("",) * len(relation.reads)
    reads = []
    for task, kind in zip(given, relation.reads, strict=True):
        reads.append(_task_of(kind, task, tasks, where=f"{where}.reads"))
    gives = _task_of(relation.gives, choice.gives, tasks, where=f"{where}.gives", read=reads)
    if gives in reads:
        raise RecipeError(
            f"The relation derives '{gives}' from itself.",
            where=where,
            next_step="Name the tasks: `reads = [...]` and `gives = ...`.",
        )
    return tuple(reads), gives


def _task_of(
    kind: str, name: str, tasks: TaskDefs, *, where: str, read: Collection[str] = ()
) -> str:
    """The task of a kind: the named task, or the only unread or only task of the kind."""
    fitting = [task.name for task in tasks.values() if task.kind == kind]
    key = where.rpartition(".")[2]
    if name and name not in tasks:
        raise RecipeError(
            f"There is no task '{name}'.",
            where=where,
            next_step=f"Tasks: {join_names(list(tasks))}.",
        )
    if name and name not in fitting:
        raise RecipeError(
            f"'{name}' is of kind {tasks[name].kind}; the relation needs kind {kind}.",
            where=where,
            next_step=f"Tasks of this kind: {join_names(fitting) or 'none'}.",
        )
    if name:
        return name
    free = [name for name in fitting if name not in read] or fitting
    if len(free) == 1:
        return free[0]
    if not fitting:
        raise RecipeError(
            f"No task is of kind {kind}.",
            where=where,
            next_step="Remove the relation, or add such a task.",
        )
    raise RecipeError(
        f"Several tasks are of kind {kind}: {join_names(free)}.",
        where=where,
        next_step=f"Say which one the relation means: `{key} = ...`.",
    )


def _refuse_circles(exact: Sequence[BoundRelation]) -> None:
    """Refuse exact relations in a circle: no query would buy a label of any of their tasks."""
    sources = {relation.gives: relation.reads for relation in exact}
    for start in sources:
        seen = {start}
        ahead = list(sources[start])
        while ahead:
            task = ahead.pop()
            if task == start:
                raise RecipeError(
                    f"Exact relations derive {join_names(sorted(seen))} from one another, so none "
                    "of their labels would be bought.",
                    where="relations",
                    next_step="Set `exact = false` for one of them.",
                )
            if task not in seen:
                seen.add(task)
                ahead += sources.get(task, ())
