"""Predictions of one task for some images, better with each label of another task that is fed in, as pictures.

PartAL's figure 10 (section 4.5, improved inference). The networks are the last ones of the runs with the smallest seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.errors import UsageError
from labelgrid.labels.grid import Cell
from labelgrid.progress import Progress
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.picture_grid import Picture, PictureGrid
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import restore
from labelgrid.simulation.analyses.analysis import Finding, Mean
from labelgrid.simulation.analyses.measuring import HiddenLabels, hidden_data
from labelgrid.simulation.analyses.shown import ImageOptions, Shown, pictures, shown_images, shown_prediction
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import Kind
from labelgrid.tasks.pictures import colour_map
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluate import predictions
from labelgrid.train.model import TrainedModel


@dataclass(frozen=True)
class Options(ImageOptions):
    """The images, and what is shown of them.

    Args:
        task: whose predictions are shown; "": the first.
        feed: the other tasks in the order in which their labels are fed in; (): all, in the study's order.
    """

    task: str = ""
    feed: tuple[str, ...] = ()


class KnownFrames:
    """See the module. Each network has a drawing: a row of predictions an image, above the labels that are fed in."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"start", "strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset({"image"})
    needs: ClassVar[str] = "a trained network"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.grids: list[PictureGrid] = []

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`: the task's headline metric on each image, by the labels that are fed in."""
        first = min((run.seed for run, _ in runs), default=0)
        shown = [(run, folder, fit) for run, folder in runs if run.seed == first and (fit := newest_fit(folder))]
        ids = shown_images([folder for _, folder, _ in shown], self.options)
        progress.start("Predicting", len(shown), "networks")
        for run, folder, fit in shown:
            with ProjectFolder.open(folder) as project:
                context, model = restore(project, fit)
                yield from self._network(run, context, model, ids)
            progress.advance()

    def _network(self, run: Run, context: RoundContext, model: TrainedModel, ids: Sequence[str]) -> Iterator[Finding]:
        """The findings of one network; adds its drawing."""
        tasks, data = context.definitions, hidden_data(context.project)
        task, feed = chosen_tasks(self.options, list(tasks), run.name)
        labels = {image: label for image in ids if (label := nonempty_label(data, image, tasks[task])) is not None}
        maps = {image: [Shown("label", label, f"{task}, label")] for image, label in labels.items()}
        for count in range(len(feed) + 1):
            fed = feed[:count]
            inputs = HiddenLabels(data, frozenset(Cell(image, name) for image in labels for name in fed))
            outputs = predictions(model, tasks, inputs, list(labels), context.recipe.data, known=bool(fed))
            for image, raws, frame in outputs:
                mine, result = shown_prediction(context, task, raws[task], frame, labels[image], "+".join(fed))
                maps[image].append(mine)
                yield Finding(run, {"image": image, "task": task, "fed": count, "labels": "+".join(fed)}, result, 1)
        rows: list[tuple[str, list[Picture | None]]] = []
        for image, shown in maps.items():
            row: list[Picture | None] = [Picture(data.image(image), image), *pictures(tasks[task], shown).values()]
            rows += [("", row), ("fed in", [None, None, None, *_fed(data, tasks, image, feed)])]
        self.grids.append(PictureGrid(f"known_frames-{run.name}", f"{task}, {run.name}", rows))

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each network."""
        return self.grids


def chosen_tasks(options: Options, tasks: Sequence[str], network: str) -> tuple[str, list[str]]:
    """The task that is shown, and the others in the order in which their labels are fed in.

    Args:
        options: the choice.
        tasks: of the network.
        network: the name of its run.

    Raises:
        UsageError: the network has no such task, or a task is named twice.

    Example:
        >>> chosen_tasks(Options(task="depth"), ["semseg", "depth", "edges"], "full")
        ('depth', ['semseg', 'edges'])
    """
    task = options.task or tasks[0]
    feed = list(options.feed) or [name for name in tasks if name != task]
    named = [task, *feed]
    unknown = [name for name in named if name not in tasks]
    if unknown or len({*named}) < len(named):
        raise UsageError(
            f"{network} has no task '{unknown[0]}'." if unknown else "`task` and `feed` name a task twice.",
            next_step=f"Its tasks are {', '.join(tasks)}.",
            unchanged="Nothing was written.",
        )
    return task, feed


def _fed(data: Source, tasks: Mapping[str, TaskDef], image: str, feed: Sequence[str]) -> Iterator[Picture | None]:
    """The labels of an image that are fed in, as pictures; None for one that does not exist."""
    for name in feed:
        label = nonempty_label(data, image, tasks[name])
        yield Picture(colour_map(tasks[name], label.value, label.valid), f"+ {name}") if label else None


def build(options: Options) -> KnownFrames:
    """Build the analysis."""
    return KnownFrames(options)
