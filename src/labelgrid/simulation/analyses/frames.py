"""Predictions of all arms for the same images of the test split, as pictures, each with its metric on that image.

MTPSL's figure 4. The networks are the last ones of the runs with the smallest seed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labelgrid.data.dataset import labels_of
from labelgrid.errors import ProjectError
from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import State
from labelgrid.progress import Progress
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.picture_grid import Picture, PictureGrid
from labelgrid.report.wording import number
from labelgrid.rounds.models import restore
from labelgrid.rounds.outputs import predicted
from labelgrid.simulation.analyses.analysis import Finding, Mean
from labelgrid.simulation.analyses.measuring import hidden_data
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import Kind
from labelgrid.streams import image_keys, keyed_uniform, seed_of
from labelgrid.tasks.pictures import colour_map
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluate import Measure, predictions


@dataclass(frozen=True)
class Options:
    """The images.

    Args:
        images: how many of the images that have a label of every task, drawn at random.
        ids: these images instead.
    """

    images: Annotated[int, Field(ge=1, le=100)] = 4
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A map of one task on one image: a row's name, the map, and the text above it."""

    row: str
    label: LabelArray
    caption: str


class Frames:
    """See the module. Each image has a drawing: a row of its labels, then a row for each arm."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "a trained network"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.images: dict[str, NDArray[np.uint8]] = {}
        self.maps: dict[tuple[str, str], list[Shown]] = {}
        self.tasks: dict[str, TaskDef] = {}

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`: each arm's headline metric of each task on each image."""
        first = min((run.seed for run, _ in runs), default=0)
        shown = [(run, folder, fit) for run, folder in runs if run.seed == first and (fit := newest_fit(folder))]
        ids = self._ids([folder for _, folder, _ in shown])
        progress.start("Predicting", len(shown) * len(ids), "images")
        for run, folder, fit in shown:
            with ProjectFolder.open(folder) as project:
                context, model = restore(project, fit)
                data, tasks = hidden_data(project), context.definitions
                self.tasks |= {name: task for name, task in tasks.items() if name not in self.tasks}
                options = context.recipe.data
                for image, raws, frame in predictions(model, tasks, data, ids, options, progress=progress):
                    self.images.setdefault(image, data.image(image))
                    for name, label in labels_of(data, tasks, image).items():
                        measure = Measure(context.tasks[name])
                        measure.add(raws[name], frame, label)
                        result = measure.metric.compute()[tasks[name].headline]
                        maps = self.maps.setdefault((image, name), [Shown("label", label, name)])
                        mine = predicted(context.tasks[name], tasks[name], raws[name], frame)
                        maps.append(
                            Shown(run.name, mine, f"{result.name} {number(result.value)} {result.unit}".strip())
                        )
                        yield Finding(run, {"image": image, "task": name}, result, 1)

    def _ids(self, folders: Sequence[Path]) -> list[str]:
        """The ids of the images that are shown, the same for all arms.

        Raises:
            ProjectError: one of `ids` is not in the test split, or no image has a label of every task.
        """
        counts = [_labels_of_images(folder) for folder in folders]
        complete = set.intersection(*(images for images, _ in counts)) if counts else set()
        known = set[str]().union(*(images for _, images in counts))
        unknown = [image for image in self.options.ids if counts and image not in known]
        if unknown or (counts and not (self.options.ids or complete)):
            raise ProjectError(
                f"'{unknown[0]}' is no image of the test split." if unknown else "No image has a label of every task.",
                where=str(folders[0]),
                next_step="Name images of the test split as `ids`.",
                unchanged="Nothing was written.",
            )
        names = sorted(complete)
        draws = dict(zip(names, keyed_uniform(image_keys(names), seed_of(0, "frames")), strict=True))
        return list(self.options.ids) or sorted(names, key=draws.__getitem__)[: self.options.images]

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each image."""
        return [self._grid(image) for image in self.images]

    def _grid(self, image: str) -> PictureGrid:
        columns = {name: self._pictures(image, name) for name in self.tasks if (image, name) in self.maps}
        names = list(dict.fromkeys(row for pictures in columns.values() for row in pictures))
        rows: list[tuple[str, list[Picture | None]]] = [
            (name, [Picture(self.images[image]) if name == "label" else None, *(p.get(name) for p in columns.values())])
            for name in names
        ]
        return PictureGrid(f"frames-{image}", image, rows)

    def _pictures(self, image: str, task: str) -> dict[str, Picture]:
        """The pictures of a task by row, all with one scale."""
        shown = self.maps[image, task]
        value, valid = (np.concatenate([getattr(one.label, part) for one in shown]) for part in ("value", "valid"))
        pixels = np.split(colour_map(self.tasks[task], value, valid), len(shown))
        return {one.row: Picture(part, one.caption) for one, part in zip(shown, pixels, strict=True)}


def _labels_of_images(folder: Path) -> tuple[set[str], set[str]]:
    """A run's images of the test split: those with a label of each of its tasks, and those with any."""
    with ProjectFolder.open(folder) as project:
        cells = [row.cell for row in project.store.cells(state=State.LABELLED, splits=("heldout",))]
        counts = Counter(cell.image_id for cell in cells)
        return {image for image, count in counts.items() if count == len(project.tasks())}, set(counts)


def build(options: Options) -> Frames:
    """Build the analysis."""
    return Frames(options)
