"""Chooses the runs and test images that are drawn, and turns maps of one task into pictures.

These are predictions and labels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from torch import Tensor

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.results import Result
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.data.frame import Frame
from labelgrid.drawings.wording import number
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.simulation.runs import Run, describe_point
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, newest_fit
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.outputs import predicted_label
from labelgrid.tasks.pictures import colour_map
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluation import Measure
from research.analyses.picture_grid import Picture


@dataclass(frozen=True)
class ImageOptions:
    """The images.

    Args:
        images: how many of the images that have a label of every task, drawn at random.
        ids: these images instead.
    """

    images: Annotated[int, Field(ge=1, le=100)] = 4
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShownMap:
    """A map of a task on an image, and the text above it."""

    label: LabelArray
    caption: str


def shown_runs(runs: Sequence[tuple[Run, Path]]) -> list[tuple[Run, Path, Fit]]:
    """The runs with the smallest seed that have a network.

    Each with its project's folder and last training.
    """
    first = min((run.seed for run, _ in runs), default=0)
    shown = []
    for run, folder in runs:
        if run.seed == first:
            fit = newest_fit(folder)
            if fit:
                shown.append((run, folder, fit))
    return shown


def shown_images(folders: Sequence[Path], options: ImageOptions) -> list[str]:
    """The ids of the images that are shown, the same for all runs.

    Args:
        folders: the projects of the runs.
        options: the images.

    Raises:
        ProjectError: one of `ids` is not in the test split, or no image has a label of every task.
    """
    counts = [_labels_of_images(folder) for folder in folders]
    complete = set.intersection(*(images for images, _ in counts)) if counts else set()
    known = set[str]().union(*(images for _, images in counts))
    unknown = [image for image in options.ids if counts and image not in known]
    if unknown or (counts and not (options.ids or complete)):
        what = "No image has a label of every task."
        if unknown:
            what = f"'{unknown[0]}' is no image of the test split."
        raise ProjectError(
            what,
            where=str(folders[0]),
            next_step="Name images of the test split as `ids`.",
            unchanged="Nothing was written.",
        )
    names = sorted(complete)
    draws = dict(zip(names, keyed_uniform(image_keys(names), seed_of(0, "frames")), strict=True))
    return list(options.ids) or sorted(names, key=draws.__getitem__)[: options.images]


def shown_prediction(
    context: RoundContext, task: str, raw: Tensor, frame: Frame, label: LabelArray
) -> tuple[ShownMap, Result]:
    """A prediction of a task, captioned with its headline metric on this image, and that metric."""
    measure = Measure(context.tasks[task])
    definition = context.definitions[task]
    measure.add(raw, frame, label)
    result = measure.metric.compute()[definition.headline]
    mine = predicted_label(context.tasks[task], definition, raw, frame)
    return ShownMap(mine, f"{result.name} {number(result.value)} {result.unit}".strip()), result


def pictures(task: TaskDef, shown: Sequence[ShownMap]) -> list[Picture]:
    """The pictures of one task's maps, all with one scale."""
    value = np.concatenate([shown_map.label.value for shown_map in shown])
    valid = np.concatenate([shown_map.label.valid for shown_map in shown])
    parts = np.split(colour_map(task, value, valid), len(shown))
    captions = [shown_map.caption for shown_map in shown]
    return [Picture(part, caption) for part, caption in zip(parts, captions, strict=True)]


def run_name(run: Run) -> str:
    """A run's name in drawings: its arm, and its values of recipe keys if it has any."""
    return ", ".join(filter(None, (run.name, describe_point(run.point))))


def _labels_of_images(folder: Path) -> tuple[set[str], set[str]]:
    """A run's images of the test split: those with a label of each of its tasks, those with any."""
    with ProjectFolder.open(folder) as project:
        rows = project.store.cells(state=State.LABELLED, splits=("heldout",))
        counts = Counter(row.cell.image_id for row in rows)
        tasks = len(project.tasks())
    complete = {image for image, count in counts.items() if count == tasks}
    return complete, set(counts)
