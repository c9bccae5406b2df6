"""What MTPSL's mapping makes of a prediction and of a label of two tasks, as pictures.

MTPSL's figure 3. For an image and each ordered pair of tasks: the source's prediction and the target's label, as the
mapping reads them, and their maps before the mapping's last layer, less the mean map of several images (a pattern of
the border that all share), averaged over channels. The networks are the last ones of the runs with the smallest seed
that were trained with the term `mtpsl`. The numbers of each pair are the mean distance of the two maps of an image,
that of maps of different images, and how often an image's label has the nearest map of all labels to its prediction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, permutations
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
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
    """The images.

    Args:
        id: of the image that is shown, of the test split; "": the first one with a label of every task.
        images: how many with labels of every task are compared, beginning with that one.
    """

    id: str = ""
    images: Annotated[int, Field(ge=2, le=256)] = 24


class JointMaps:
    """See the module."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy", "full"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = f"a network that was trained with the term '{TERM}'"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.grids: list[PictureGrid] = []

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`: the numbers of each pair of tasks."""
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
        """The images with their labels, at the size of the network's input; the one that is shown is the first.

        Raises:
            ProjectError: no image has a label of every task, or `id` is none of the data set's.
        """
        data, tasks = hidden_data(context.project), context.definitions
        images = [row.image_id for row in context.project.store.images(("heldout",))]
        complete = (image for image in images if len(labels_of(data, tasks, image)) == len(tasks))
        shown = self.options.id or next(complete, "")
        if shown not in images or len(labels_of(data, tasks, shown)) != len(tasks):
            raise ProjectError(
                f"'{shown}' has no label of every task." if shown else "No image has a label of every task.",
                where=str(context.project.folder),
                next_step="Name an image with all labels as `id`.",
                unchanged="Nothing was written.",
            )
        others = islice((image for image in complete if image != shown), self.options.images - 1)
        chosen, known = [shown, *others], partial(labels_of, data, tasks)
        return next(iter(eval_batches(data, tasks, chosen, context.recipe.data, batch=len(chosen), known=known)))

    def _pairs(
        self, run: Run, context: RoundContext, term: JointTerm, batch: Batch, output: Output
    ) -> Iterator[Finding]:
        rows: list[tuple[str, list[Picture | None]]] = []
        for source, target in permutations(term.names, 2):
            mapped = term.pictured(output, batch.targets, source, target)
            rows.append(("", _pictures(context, batch, output, (source, target), mapped)))
            keys = {"image": batch.ids[0], "source": source, "target": target}
            for result in _numbers(*mapped):
                yield Finding(run, keys, result, len(batch.ids))
        self.grids.append(PictureGrid(f"joint-maps-{run.name}", f"{run.name}: {batch.ids[0]}", rows))

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each network."""
        return self.grids


def _pictures(
    context: RoundContext, batch: Batch, output: Output, pair: tuple[str, str], mapped: Sequence[Tensor]
) -> list[Picture | None]:
    """The first image's prediction and label of a source and a target, and their maps, as pictures."""
    (source, target), size = pair, batch.images.shape[-2:]
    task = context.tasks[source]
    prediction = label_of(task.to_target(task.activate(resized(output.final[source][:1], size))))
    truth = label_of(batch.targets[target][:1])
    shown = [(source, "predicted", prediction), (target, "label", truth)]
    pictures: list[Picture | None] = []
    for (name, kind, label), maps in zip(shown, mapped, strict=True):
        own = maps[:1] - maps.mean(0) if len(maps) > 1 else maps
        pictures += [
            Picture(colour_map(context.definitions[name], label.value, label.valid), f"{name}, {kind}"),
            Picture(_heat(own, size), "its map"),
        ]
    return pictures


def _numbers(sources: Tensor, targets: Tensor) -> list[Result]:
    """What tells the maps [b, c, h, w] of one image from those of two."""
    count = len(sources)
    apart = torch.stack([distance(one.expand_as(targets), targets) for one in sources])
    own = apart.diagonal()
    results = [Result("distance", float(own.mean()), "", "lower")]
    if count > 1:
        others = (apart.sum() - own.sum()) / (count * (count - 1))
        nearest = (apart.argmin(1) == torch.arange(count, device=apart.device)).double().mean()
        results += [
            Result("distance to other images", float(others), "", "higher"),
            Result("own label nearest", float(100 * nearest), "%", "higher"),
        ]
    return results


def _heat(maps: Tensor, size: Sequence[int]) -> NDArray[np.uint8]:
    """Maps [1, c, h, w], averaged over channels, as a picture of this size."""
    return heat_map(resized(maps.mean(1, keepdim=True), size)[0, 0].cpu().numpy())


def build(options: Options) -> JointMaps:
    """Build the analysis."""
    return JointMaps(options)
