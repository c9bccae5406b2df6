"""Predictions of one task for some images, as pictures, with ever more labels fed in.

Each time it is one more label of another task. PartAL's figure 10 (section 4.5, improved
inference). The networks are the last ones of the runs with the smallest seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.progress import Progress
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.simulation.analysis import Finding, Mean
from labelgrid.lab.simulation.measuring import HiddenLabels, hidden_data
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import check_known_is_used, restore
from labelgrid.tasks.pictures import colour_map
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluation import predictions
from labelgrid.train.trained_model import TrainedModel
from research.analyses.picture_grid import Picture, PictureGrid
from research.analyses.shown import (
    ImageOptions,
    ShownMap,
    pictures,
    run_name,
    shown_images,
    shown_prediction,
    shown_runs,
)


@dataclass(frozen=True)
class Options(ImageOptions):
    """The images, and what is shown of them.

    Args:
        task: whose predictions are shown; "": the first. Networks without it are left out.
        feed: the other tasks in the order in which their labels are fed in; empty: all, in the
            study's order.
    """

    task: str = ""
    feed: tuple[str, ...] = ()


class KnownFrames:
    """See the module.

    Each network has a drawing; each image a row of predictions, above the labels that are fed in.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({"start", "strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset({"image"})
    needs: ClassVar[str] = "a trained network"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.grids: list[PictureGrid] = []

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`: the task's headline metric on each image, by what is fed in."""
        shown = shown_runs(runs)
        ids = shown_images([folder for _, folder, _ in shown], self.options)
        known = dict.fromkeys(name for _, folder, _ in shown for name in _tasks_of(folder))
        task, feed = chosen_tasks(self.options, list(known)) if known else ("", [])
        progress.start("Predicting", len(shown), "networks")
        for run, folder, fit in shown:
            with ProjectFolder.open(folder) as project:
                if task in project.tasks():
                    context, model = restore(project, fit)
                    check_known_is_used(context, model)
                    fed = [name for name in feed if name in context.definitions]
                    yield from self._network(
                        run,
                        context,
                        model=model,
                        labels=_labels(context, task, ids),
                        task=task,
                        feed=fed,
                    )
            progress.advance()

    def _network(
        self,
        run: Run,
        context: RoundContext,
        model: TrainedModel,
        labels: Mapping[str, LabelArray],
        task: str,
        feed: Sequence[str],
    ) -> Iterator[Finding]:
        """The findings of one network on the images of these labels; adds its drawing."""
        tasks = context.definitions
        data = hidden_data(context.project)
        maps = {image: [ShownMap(label, f"{task}, label")] for image, label in labels.items()}
        for count in range(len(feed) + 1):
            fed = feed[:count]
            inputs = HiddenLabels(
                data, frozenset(Cell(image, name) for image in labels for name in fed)
            )
            outputs = predictions(
                model,
                tasks,
                source=inputs,
                image_ids=list(labels),
                data=context.recipe.data,
                feed_known=bool(fed),
            )
            for image, raws, frame in outputs:
                mine, result = shown_prediction(
                    context, task, raw=raws[task], frame=frame, label=labels[image]
                )
                maps[image].append(mine)
                yield Finding(
                    run=run,
                    keys={"image": image, "task": task, "fed": count, "labels": "+".join(fed)},
                    result=result,
                    count=1,
                )
        rows: list[tuple[str, list[Picture | None]]] = []
        for image, shown in maps.items():
            rows.append(("", [Picture(data.image(image), image), *pictures(tasks[task], shown)]))
            if feed:
                rows.append(("fed in", [None, None, None, *_fed(data, tasks, image, feed)]))
        title = f"{task}, {run_name(run)}"
        self.grids.append(PictureGrid(f"known_frames-{run_name(run)}", title, rows))

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each network."""
        return self.grids


def chosen_tasks(options: Options, tasks: Sequence[str]) -> tuple[str, list[str]]:
    """The task that is shown, and the others in the order in which their labels are fed in.

    Args:
        options: the choice.
        tasks: of all networks.

    Raises:
        UsageError: no network has a task, or one is named twice.

    Example:
        >>> chosen_tasks(Options(task="depth"), ["semseg", "depth", "edges"])
        ('depth', ['semseg', 'edges'])
    """
    task = options.task or tasks[0]
    feed = list(options.feed) or [name for name in tasks if name != task]
    named_tasks = [task, *feed]
    unknown = [name for name in named_tasks if name not in tasks]
    if unknown or len({*named_tasks}) < len(named_tasks):
        what = "`task` and `feed` name a task twice."
        if unknown:
            what = f"No network has the task '{unknown[0]}'."
        raise UsageError(
            what,
            next_step=f"The tasks are {', '.join(tasks)}.",
            unchanged="Nothing was written.",
        )
    return task, feed


def _tasks_of(folder: Path) -> list[str]:
    with ProjectFolder.open(folder) as project:
        return list(project.tasks())


def _labels(context: RoundContext, task: str, ids: Sequence[str]) -> dict[str, LabelArray]:
    """The task's labels of the images.

    Raises:
        ProjectError: an image has none.
    """
    data = hidden_data(context.project)
    definition = context.definitions[task]
    labels: dict[str, LabelArray] = {}
    for image in ids:
        label = nonempty_label(data, image, definition)
        if label is None:
            raise ProjectError(
                f"'{image}' has no label of '{task}'.",
                where=str(context.project.folder),
                next_step="Name other images as `ids`.",
                unchanged="Nothing was written.",
            )
        labels[image] = label
    return labels


def _fed(
    data: Source, tasks: Mapping[str, TaskDef], image: str, feed: Sequence[str]
) -> Iterator[Picture | None]:
    """The labels of an image that are fed in, as pictures; None for one that does not exist."""
    for name in feed:
        label = nonempty_label(data, image, tasks[name])
        if label is None:
            yield None
        else:
            yield Picture(colour_map(tasks[name], label.value, label.valid), f"+ {name}")


def build(options: Options) -> KnownFrames:
    """Build the analysis."""
    return KnownFrames(options)
