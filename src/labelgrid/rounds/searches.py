"""Defines what a query searches for: a class by its name, or images that are like an example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds.class_search import find_class, full_name, refuse_unlearned, refuse_unseen
from labelgrid.rounds.example import ExampleImage, example_features, find_example
from labelgrid.score.table import Table
from labelgrid.select.draws import RandomDraws

if TYPE_CHECKING:
    from labelgrid.rounds.pool_scorer import PoolScorer


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
