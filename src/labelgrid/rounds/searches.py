"""Defines the searches of a query: for a class, for images like an example, in named tasks.

Loads no torch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelgrid.annotate.answers import spelling_hint
from labelgrid.basics import plugins
from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import (
    ImageError,
    LabelgridError,
    LedgerError,
    NothingToBuyError,
    ProjectError,
    UsageError,
    command,
)
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.project_source import ProjectSource
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_classes import label_classes
from labelgrid.project.records import newest_fit
from labelgrid.project.score_files import scores_folder
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds.round_scores import FEATURES, RoundScores, strategy_of
from labelgrid.score.table import FILE, Table
from labelgrid.select.class_statistic import CLASSES, shares_of_class
from labelgrid.select.draws import RandomDraws
from labelgrid.tasks.task import TaskDef, TaskDefs

if TYPE_CHECKING:
    from labelgrid.rounds.pool_scorer import PoolScorer

#: The classes of a task that a refusal names.
SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class ExampleImage:
    """An image that is an example.

    Args:
        name: its id, or the name of its file.
        root: the folder of that file; empty for an image of the project.
        digest: the digest of the file's content; empty for an image of the project.
    """

    name: str
    root: str = ""
    digest: str = ""


def _find_example(project: ProjectFolder, asked: str) -> ExampleImage:
    """The image of an id or a path; ids of the project come first."""
    try:
        return ExampleImage(name=project.store.image(asked).image_id)
    except LedgerError:
        path = Path(asked)
    if path.is_file():
        return ExampleImage(name=path.name, root=str(path.parent.absolute()), digest=digest(path))
    ids = [row.image_id for row in project.store.images()]
    hint = spelling_hint(asked, sorted(ids))
    raise ImageError(
        f"The example is neither an image of the project nor a file. Found '{asked:.200}'.",
        where=project.folder,
        next_step=f"{hint} Give the id of an image, or the path of a file.".strip(),
        unchanged="Nothing was requested.",
    )


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a query searches for; nothing if all is empty.

    Args:
        choice: the strategy that picks what is searched for; None: that of the query.
        class_name: the class as `TASK:CLASS`.
        like: the example as the user named it.
        example: the example.
        tasks: whose labels are asked for, unless the user names others; empty: all.
        note: what the ledger keeps of it.
        folder: the folder of its own scores, below that of the round's.
    """

    choice: PluginChoice | None = None
    class_name: str = ""
    like: str = ""
    example: ExampleImage | None = None
    tasks: Sequence[str] = ()
    note: str = ""
    folder: str = ""

    def check(self, project: ProjectFolder, table: Table, grid: Grid) -> None:
        """Refuse a class that the model predicts in no image of the pool.

        Raises:
            NothingToBuyError: it predicts none.
        """
        if self.class_name:
            task, name = find_class(project.tasks(), self.class_name)
            refuse_unseen(project, table, grid, task=task, name=name)

    def say_without(self, picks: Sequence[Pick], progress: Progress) -> None:
        """Say how many picked images are predicted to show nothing of the class."""
        scores = {}
        for pick in picks:
            if pick.score is not None:
                scores[pick.cell.image_id] = pick.score
        without = sum(share == 0 for share in scores.values())
        if without:
            progress.say(
                f"The model predicts '{self.class_name}' in {len(scores) - without} of "
                f"{count_text(len(scores), 'picked image')}, and nowhere in the others: a smaller "
                "--budget leaves these out."
            )

    def lacks_example(self, table: Table) -> bool:
        """Whether the features of an example are not among the scores."""
        example = self.example
        return example is not None and (bool(example.root) or example.name not in table.images)

    def features(self, table: Table, make_scorer: Callable[[], "PoolScorer"]) -> Array | None:
        """The features [d] of the example, from the scores or computed by their network.

        Args:
            table: the scores.
            make_scorer: returns the scorer, whose model is needed if the table lacks the example.

        Returns:
            The features; None without an example.

        Raises:
            ImageError: the example's file cannot be read.
            ProjectError: predictions that another program wrote lack the example.
        """
        example = self.example
        if example is None:
            return None
        if not self.lacks_example(table):
            return table.aligned([example.name])[FEATURES][0]
        scorer = make_scorer()
        if scorer.fit.predictions and example.root:
            raise ProjectError(
                f"'{example.name}' has no features: those of the newest model come from files that "
                "another program wrote.",
                next_step="Name an image of the project of which there is such a file.",
                unchanged="Nothing was requested.",
            )
        context = replace(scorer.context, definitions={})  # no label is read
        if example.root:
            files = {example.name: (example.root, example.digest)}
            context = replace(context, source=ProjectSource(files, {}))
        (batch,) = scorer.batches(context, [example.name])
        computed = scorer.statistics[FEATURES](batch)
        return np.asarray(computed, np.float32)[0]


def find_search(
    project: ProjectFolder, class_name: str, like: str, *, strategy: str, draws: RandomDraws
) -> Search:
    """The search of a query for a class, or for what is like an example.

    Args:
        project: the project.
        class_name: a class, or `TASK:CLASS`; empty: an example is given.
        like: the id of an image, or the path of one; empty: a class is given.
        strategy: the strategy that the user named.
        draws: what is drawn at random beside.

    Raises:
        UsageError: an option is given beside an option that it excludes, or there is no such class.
        ProjectError: the model does not know the class.
        ImageError: there is no such image.
    """
    if (class_name and like) or strategy or draws.pairs or draws.audit:
        raise UsageError(
            "--class and --like exclude each other, --strategy, --pairs and --audit.",
            next_step="Give one of them alone; ask for the others by a query of their own.",
            unchanged="Nothing was requested.",
        )
    if like:
        example = _find_example(project, like)
        choice = PluginChoice("like", {"name": example.name})
        note = f"/like {example.name} {example.digest}".rstrip()
        return Search(choice=choice, like=like, example=example, note=note, folder=choice.name)
    task, name = find_class(project.tasks(), class_name)
    refuse_unlearned(project, task, name)
    number = task.class_names.index(name)
    choice = PluginChoice("class_share", {"task": task.name, "number": number, "name": name})
    wanted = full_name(task, name)
    return Search(
        choice=choice,
        class_name=wanted,
        tasks=(task.name,),
        note=f"/class {wanted}",
        folder=choice.name,
    )


# A class


def find_class(definitions: TaskDefs, asked: str) -> tuple[TaskDef, str]:
    """The task of a class, and the class's name.

    Args:
        definitions: the tasks by name.
        asked: the name of a class, or `TASK:CLASS`.

    Raises:
        UsageError: no task has it, or several have.
    """
    matches = []
    for task in definitions.values():
        names = [name for name in task.class_names if asked in (name, full_name(task, name))]
        matches += [(task, name) for name in names]
    if len(matches) > 1:
        raise UsageError(
            f"Several tasks have a class '{asked:.80}'.",
            next_step=f"Name one: {join_names([full_name(*match) for match in matches])}.",
            unchanged="Nothing was requested.",
        )
    if not matches:
        raise _no_class(definitions, asked)
    return matches[0]


def full_name(task: TaskDef, name: str) -> str:
    """A class as `TASK:CLASS`."""
    return f"{task.name}:{name}"


def _no_class(definitions: TaskDefs, asked: str) -> UsageError:
    names = set[str]()
    shown = []
    for task in definitions.values():
        names.update(task.class_names)
        names.update(full_name(task, name) for name in task.class_names)
        if task.class_names:
            shown.append(f"{task.name} has {join_names(task.class_names, SHOWN)}")
    classes = "No task of the project has classes."
    if shown:
        classes = f"The classes: {'; '.join(shown)}."
    hint = spelling_hint(asked, sorted(names))
    return UsageError(
        f"No task has a class '{asked:.80}'.",
        next_step=f"{hint} {classes} What is no class is found by an example: "
        "`--like IMAGE` in place of `--class`.".strip(),
        unchanged="Nothing was requested.",
    )


def refuse_unlearned(project: ProjectFolder, task: TaskDef, name: str) -> None:
    """Refuse a class that the newest model cannot have learnt.

    Raises:
        ProjectError: there is no model, it did not learn the task, or no label for training shows
            the class.
    """
    fit = newest_fit(project.folder)
    reason = ""
    if fit is None:
        reason = "there is no model yet"
    elif task.name not in fit.trained:
        reason = f"the newest model did not learn {task.name}"
    elif not fit.predictions:
        labels = project.store.matching_labels(ImageFilter(splits=("train",), task=task.name))
        contents = [content for _, content in labels]
        shown, unread = label_classes(project, task).showing(name, contents)
        if not (shown.any() or unread):  # not all labels need be known
            reason = "no label for training shows it"
    if reason:
        raise ProjectError(
            f"No model can find '{full_name(task, name)}' yet: {reason}.",
            where=project.folder,
            next_step=_by_example(project, task, name),
            unchanged="Nothing was requested.",
        )


def refuse_unseen(
    project: ProjectFolder, table: Table, grid: Grid, task: TaskDef, name: str
) -> None:
    """Refuse a class that the model predicts in no image with a missing label.

    Args:
        project: the project.
        table: the scores.
        grid: the pool.
        task: the task of the class.
        name: the name of the class.

    Raises:
        NothingToBuyError: it predicts none.
    """
    column = list(table.tasks).index(task.name)
    number = task.class_names.index(name)
    values = table.aligned(grid.images)[CLASSES][grid.eligible.any(1)]
    shares = shares_of_class(values, len(table.tasks), column, number)
    if not np.nanmax(shares, initial=0.0) > 0:
        raise NothingToBuyError(
            f"The newest model predicts '{full_name(task, name)}' in no image of the pool.",
            where=project.folder,
            next_step=_by_example(project, task, name),
            unchanged="Nothing was requested.",
        )


def _by_example(project: ProjectFolder, task: TaskDef, name: str) -> str:
    words = ["--like", "IMAGE", "--task", task.name, "--budget", "N"]
    return (
        f"Name an image that shows {name}: `{command('query', project.folder, *words)}` asks for "
        "labels of images that are like it."
    )


# The tasks and the scores


def check_asked_tasks(project: ProjectFolder, tasks: Sequence[str], draws: RandomDraws) -> None:
    """Refuse tasks that a query cannot be limited to.

    Args:
        project: the project.
        tasks: the tasks that the user named; empty: all.
        draws: what is drawn at random beside.

    Raises:
        UsageError: a task is unknown, or pairs or audits are drawn, which need labels of other
            tasks.
    """
    task_names = [row.name for row in project.store.tasks()]
    unknown = [task for task in tasks if task not in task_names]
    if unknown:
        raise UsageError(
            f"The project has no task '{unknown[0]}'.",
            where=project.folder,
            next_step=f"Its tasks are: {', '.join(task_names)}.",
            unchanged="Nothing was requested.",
        )
    if tasks and (draws.pairs or draws.audit):
        raise UsageError(
            "Pairs and audits need labels of the tasks that they measure, not of named ones.",
            next_step="Leave --task out, or draw them by a query of their own.",
            unchanged="Nothing was requested.",
        )


def kept_scores(search: RoundScores, number: int) -> Table | None:
    """The statistics that a search needs, from whatever scores of the round are fresh.

    These are the round's scores, the explanations of its picks, and the scores of searches. None if
    there are none: they are computed then.

    Args:
        search: the scores of the search.
        number: the number of the round.
    """
    needs = search.strategy.needs
    for scores in _scores_of(search, number):
        with suppress(LabelgridError):  # stale, or a recipe that the strategy does not fit
            table = scores.fresh(number)
            holding = scores.holding(needs, number, table) if table else None
            if holding:
                return holding.only(needs | {FEATURES}, holding.stamp)
    return None


def _scores_of(search: RoundScores, number: int) -> Iterator[RoundScores]:
    """Yield the scores that a round may have, of the round and of searches."""
    project = search.project
    yield replace(search, strategy=strategy_of(project)[1], apart="")
    yield replace(search, apart="")
    for path in sorted(scores_folder(project, number).glob(f"*/{FILE}")):
        name = path.parent.name
        if name in plugins.names("strategies"):
            yield replace(search, strategy=strategy_of(project, name)[1], apart=name)
