"""Defines what a query searches for: a class by its name, or images that are like an example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelgrid.annotate.answers import spelling_hint
from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import ImageError, LedgerError, ProjectError, UsageError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.data.project_source import ProjectSource
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds.class_search import find_class, full_name, refuse_unlearned, refuse_unseen
from labelgrid.rounds.round_scores import FEATURES
from labelgrid.score.table import Table
from labelgrid.select.draws import RandomDraws

if TYPE_CHECKING:
    from labelgrid.rounds.pool_scorer import PoolScorer


if TYPE_CHECKING:
    from labelgrid.rounds.pool_scorer import PoolScorer


@dataclass(frozen=True, kw_only=True)
class ExampleImage:
    """An image that is an example.

    Args:
        name: its id, or the name of its file.
        root: the folder of that file; empty for an image of the project.
        digest: of the file's content; empty for an image of the project.
    """

    name: str
    root: str = ""
    digest: str = ""


def find_example(project: ProjectFolder, asked: str) -> ExampleImage:
    """The image of an id or a path; ids of the project come first.

    Raises:
        ImageError: there is none.
    """
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


def example_features(
    make_scorer: Callable[[], "PoolScorer"], table: Table, example: ExampleImage
) -> Array:
    """The features [d] of an example: those of the scores, or computed by the same network.

    Args:
        make_scorer: returns the scorer, whose model is needed if the scores lack the example.
        table: the scores.
        example: the example.

    Raises:
        ImageError: its file cannot be read.
        ProjectError: predictions that another program wrote lack it.
    """
    if not example.root and example.name in table.images:
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
        folder: of its own scores, below that of the round's.
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
        found = {pick.cell.image_id: pick.score for pick in picks if pick.score is not None}
        without = sum(share == 0 for share in found.values())
        if without:
            progress.say(
                f"The model predicts '{self.class_name}' in {len(found) - without} of "
                f"{count_text(len(found), 'picked image')}, and nowhere in the others: a smaller "
                "--budget leaves these out."
            )

    def features(self, table: Table, scorer: Callable[[], "PoolScorer"]) -> Array | None:
        """The features of the example; None without one.

        Args:
            table: the scores.
            scorer: returns the scorer, whose model is needed if the table lacks the example.
        """
        return example_features(scorer, table, self.example) if self.example else None


def find_search(
    project: ProjectFolder, class_name: str, like: str, *, strategy: str, draws: RandomDraws
) -> Search:
    """What a query searches for, of which one is given.

    Args:
        project: the project.
        class_name: a class, or `TASK:CLASS`; empty: none.
        like: the id of an image, or the path of one; empty: none.
        strategy: that the user named.
        draws: what is drawn at random beside.

    Raises:
        UsageError: one is given beside what it excludes, or there is no such class.
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
        example = find_example(project, like)
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
