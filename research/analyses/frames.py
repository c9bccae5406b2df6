"""Predictions of all arms for the same images of the test split, as pictures.

Each has its metric on that image, as in MTPSL's figure 4. The networks are the last ones of the
runs with the smallest seed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.progress import Progress
from labelgrid.data.dataset import labels_of
from labelgrid.lab.simulation.analysis import Finding, Mean
from labelgrid.lab.simulation.measuring import hidden_data
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.models import restore
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluation import predictions
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

#: The images are its only options.
Options = ImageOptions


class Frames:
    """See the module. Each image has a drawing: a row of its labels, then a row for each arm."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "a trained network"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.images: dict[str, NDArray[np.uint8]] = {}
        self.labels: dict[tuple[str, str], ShownMap] = {}
        self.maps: dict[tuple[str, str], dict[str, ShownMap]] = {}
        self.tasks: dict[str, TaskDef] = {}

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`: each arm's headline metric of each task on each image."""
        shown = shown_runs(runs)
        ids = shown_images([folder for _, folder, _ in shown], self.options)
        progress.start("Predicting", len(shown) * len(ids), "images")
        for run, folder, fit in shown:
            with ProjectFolder.open(folder) as project:
                context, model = restore(project, fit)
                data = hidden_data(project)
                tasks = context.definitions
                self.tasks |= {name: task for name, task in tasks.items() if name not in self.tasks}
                options = context.recipe.data
                for image, raws, frame in predictions(
                    model, tasks, source=data, image_ids=ids, data=options, progress=progress
                ):
                    self.images.setdefault(image, data.image(image))
                    for name, label in labels_of(data, tasks, image).items():
                        self.labels.setdefault((image, name), ShownMap(label, name))
                        mine, result = shown_prediction(
                            context, name, raw=raws[name], frame=frame, label=label
                        )
                        self.maps.setdefault((image, name), {})[run_name(run)] = mine
                        yield Finding(
                            run=run, keys={"image": image, "task": name}, result=result, count=1
                        )

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each image."""
        return [self._grid(image) for image in self.images]

    def _grid(self, image: str) -> PictureGrid:
        first: list[Picture | None] = [Picture(self.images[image])]
        columns: list[dict[str, Picture]] = []
        for name, task in self.tasks.items():
            if (image, name) in self.maps:
                maps = self.maps[image, name]
                label, *predicted = pictures(task, [self.labels[image, name], *maps.values()])
                first.append(label)
                columns.append(dict(zip(maps, predicted, strict=True)))
        arms: dict[str, None] = {}
        for column in columns:
            arms |= dict.fromkeys(column)
        rows: list[tuple[str, list[Picture | None]]] = []
        for arm in arms:
            predictions_of_arm = [column.get(arm) for column in columns]
            rows.append((arm, [None, *predictions_of_arm]))
        return PictureGrid(f"frames-{image}", image, [("label", first), *rows])


def build(options: Options) -> Frames:
    """Build the analysis."""
    return Frames(options)
