"""What MTPSL's mapping makes of a prediction and of a label of two tasks, as pictures.

MTPSL's figure 3. For an image and each ordered pair of tasks: the source's prediction and the target's label, as the
mapping reads them, and their maps before the mapping's last layer, averaged over channels. The networks are the last
ones of the runs with the smallest seed that were trained with the term `mtpsl`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.batch import Batch
from labelgrid.data.dataset import labels_of
from labelgrid.data.frame import label_of
from labelgrid.data.loader import eval_batches
from labelgrid.errors import ProjectError
from labelgrid.nets.network import Output
from labelgrid.progress import Progress
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.picture_grid import Picture, PictureGrid
from labelgrid.results import Result
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import restore
from labelgrid.simulation.analyses.analysis import Finding, Mean
from labelgrid.simulation.analyses.measuring import hidden_data
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import Kind
from labelgrid.tasks.pictures import colour_map, heat_map
from labelgrid.train.joint import JointTerm
from labelgrid.train.objective import resized
from labelgrid.train.pairs import distance

#: The term whose mapping is shown.
TERM = "mtpsl"


@dataclass(frozen=True)
class Options:
    """The image.

    Args:
        id: of an image of the test split; "": the first one with a label of every task.
    """

    id: str = ""


class JointMaps:
    """See the module. The numbers are the cosine distances of the pictured maps of each pair."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = f"a network that was trained with the term '{TERM}'"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.grids: list[PictureGrid] = []

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`: the distance of each pair's maps."""
        first = min((run.seed for run, _ in runs), default=0)
        shown = [(run, folder, fit) for run, folder in runs if run.seed == first and (fit := newest_fit(folder))]
        progress.start("Mapping", len(shown), "networks")
        for run, folder, fit in shown:
            with ProjectFolder.open(folder) as project:
                context, model = restore(project, fit)
                term = model.terms.get(TERM)
                if isinstance(term, JointTerm):
                    batch = self._batch(context)
                    with torch.inference_mode():
                        yield from self._pairs(run, context, term, batch, model.network(batch.images))
            progress.advance()

    def _batch(self, context: RoundContext) -> Batch:
        """The image with its labels, at the size of the network's input.

        Raises:
            ProjectError: no image has a label of every task, or `id` is none of the data set's.
        """
        data, tasks = hidden_data(context.project), context.definitions
        images = [row.image_id for row in context.project.store.images(("heldout",))]
        for image in [self.options.id] if self.options.id else images:
            labels = labels_of(data, tasks, image) if image in images else {}
            if len(labels) == len(tasks):
                known = partial(labels_of, data, tasks)
                return next(iter(eval_batches(data, tasks, [image], context.recipe.data, batch=1, known=known)))
        raise ProjectError(
            f"'{self.options.id}' has no label of every task."
            if self.options.id
            else "No image has a label of every task.",
            where=str(context.project.folder),
            next_step="Name an image with all labels as `id`.",
            unchanged="Nothing was written.",
        )

    def _pairs(
        self, run: Run, context: RoundContext, term: JointTerm, batch: Batch, output: Output
    ) -> Iterator[Finding]:
        rows: list[tuple[str, list[Picture | None]]] = []
        size = batch.images.shape[-2:]
        for source, target in permutations(term.names, 2):
            mapped = term.pictured(output, batch.targets, source, target)
            raw = resized(output.final[source], size)
            task, label = context.tasks[source], batch.targets[target]
            prediction = label_of(task.to_target(task.activate(raw)))
            truth = label_of(label)
            pictures = [
                Picture(
                    colour_map(context.definitions[source], prediction.value, prediction.valid), f"{source}, predicted"
                ),
                Picture(_heat(mapped[0], size), "its map"),
                Picture(colour_map(context.definitions[target], truth.value, truth.valid), f"{target}, label"),
                Picture(_heat(mapped[1], size), "its map"),
            ]
            rows.append(("", list(pictures)))
            value = float(distance(*mapped))
            result = Result("distance", value, "", "lower")
            yield Finding(run, {"image": batch.ids[0], "source": source, "target": target}, result, 1)
        self.grids.append(PictureGrid(f"joint-maps-{run.name}", f"{run.name}: {batch.ids[0]}", rows))

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each network."""
        return self.grids


def _heat(maps: Tensor, size: Sequence[int]) -> NDArray[np.uint8]:
    """Maps [1, c, h, w], averaged over channels, as a picture of this size."""
    return heat_map(resized(maps.mean(1, keepdim=True), size)[0, 0].cpu().numpy())


def build(options: Options) -> JointMaps:
    """Build the analysis."""
    return JointMaps(options)
