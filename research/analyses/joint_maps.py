"""What MTPSL's mapping makes of a prediction and of a label of two tasks, as pictures.

MTPSL's figure 3. For an image and each ordered pair of tasks: the source's prediction and the
target's label, as the mapping reads them, and their maps before the mapping's last layer, less the
mean map of several images (a pattern of the border that all share), averaged over channels. The
networks are the last ones of the runs with the smallest seed that were trained with the term
`mtpsl`.

The numbers are of the maps in the joint space, as the term compares them, over these images: the
mean distance of an image's prediction to its label, that to the labels of the other images, and how
often an image's own label is the nearest; by chance it would be in 100 / images percent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result
from labelgrid.data.batch import Batch
from labelgrid.data.dataset import labels_of, nonempty_label
from labelgrid.data.frame import label_of
from labelgrid.data.loader import eval_batches
from labelgrid.lab.simulation.analysis import Finding, Mean
from labelgrid.lab.simulation.measuring import hidden_data
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.nets.network import Output, Raw
from labelgrid.pixel.target import Targets
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import restore
from labelgrid.tasks.pictures import colour_map, heat_map
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.joint_space import JointTerm
from labelgrid.train.objective import resize_output
from labelgrid.train.pairs import Pairs, distance
from labelgrid.train.trained_model import TrainedModel
from research.analyses.picture_grid import Picture, PictureGrid
from research.analyses.shown import shown_runs

#: The term whose mapping is shown.
TERM = "mtpsl"


#: Of a source's prediction, and of a target's label: the maps that the mapping's last layer reads,
#: [1, c, h, w], and the maps in the joint space, [1, d, h', w'].
MapsOfPair = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def picture_pair(
    term: JointTerm, output: Output, targets: Targets, tasks: tuple[str, str]
) -> MapsOfPair:
    """Return the maps of an image before and after the mapping's last layer.

    Args:
        term: has the mapping.
        output: of one image.
        targets: its labels, at the size of the network's input.
        tasks: the source, and the target, of which the image has a label.
    """
    source, target = tasks
    label = targets[target]
    raw = resize_output(output.final[source], label.value.shape[-2:])
    predicted = prediction_maps(term.tasks[source], raw, None)
    labelled = label_maps(term.tasks[target], label)
    zero = torch.zeros(1, dtype=torch.long, device=label.value.device)
    pair = Pairs(
        image=zero,
        source=zero + term.names.index(source),
        target=zero + term.names.index(target),
        divisors=zero + 1,
    )
    maps = []
    conditions = term.conditions(pair).chunk(2)
    for task, its_maps, condition in zip(tasks, (predicted, labelled), conditions, strict=True):
        read = term.mapping.before_last(term.mapping.shared(task, its_maps), condition)
        maps.append((read, term.mapping.from_last(read, condition)))
    return maps[0], maps[1]


@dataclass(frozen=True)
class Options:
    """The images.

    Args:
        id: of the image that is shown, of the test split; "": the first one with a label of every
            task.
        images: how many are compared, beginning with that one; all have labels of every task and,
            at the network's input, its size.
    """

    id: str = ""
    images: Annotated[int, Field(ge=2, le=256)] = 24


@dataclass(frozen=True)
class ImageMaps:
    """What is compared of an image.

    Args:
        batch: the image alone, with its labels.
        raw: the network's raw outputs.
        maps: what `picture_pair` returns for each pair of a source and a target.
    """

    batch: Batch
    raw: Raw
    maps: Mapping[tuple[str, str], MapsOfPair]


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
        shown = shown_runs(runs)
        progress.start("Mapping", len(shown), "networks")
        for run, folder, fit in shown:
            with ProjectFolder.open(folder) as project:
                context, model = restore(project, fit)
                term = model.terms.get(TERM)
                if isinstance(term, JointTerm):
                    yield from self._pairs(run, context, term, self._seen(context, model, term))
            progress.advance()

    def _images(self, context: RoundContext) -> Iterator[str]:
        """The images with a label of every task, the one that is shown first.

        Labels are read as images are taken.

        Raises:
            ProjectError: there is none, or `id` is none of them.
        """
        data = hidden_data(context.project)
        tasks = context.definitions.values()

        def is_complete(image: str) -> bool:
            return all(nonempty_label(data, image, task) is not None for task in tasks)

        images = [row.image_id for row in context.project.store.images(("heldout",))]
        shown = self.options.id or next(filter(is_complete, images), "")
        fault = "" if shown else "No image has a label of every task."
        if shown and shown not in images:
            fault = f"'{shown}' is no image of the test split."
        elif self.options.id and not is_complete(shown):
            fault = f"'{shown}' has no label of every task."
        if fault:
            raise ProjectError(
                fault,
                where=str(context.project.folder),
                next_step="Name an image of the test split with all labels as `id`.",
                unchanged="Nothing was written.",
            )
        yield shown
        yield from filter(is_complete, (image for image in images if image != shown))

    def _seen(self, context: RoundContext, model: TrainedModel, term: JointTerm) -> list[ImageMaps]:
        """What is compared, image by image."""
        data = hidden_data(context.project)
        tasks = context.definitions
        seen: list[ImageMaps] = []
        known = partial(labels_of, data, tasks)
        for image in self._images(context):
            (batch,) = eval_batches(
                data, tasks, [image], context.recipe.data, batch=1, known_labels=known
            )
            if seen and batch.images.shape != seen[0].batch.images.shape:
                continue
            with torch.inference_mode():
                output = model.network(batch.images)
                maps = {
                    pair: picture_pair(term, output, batch.targets, pair)
                    for pair in permutations(term.names, 2)
                }
            seen.append(ImageMaps(batch, output.final, maps))
            if len(seen) == self.options.images:
                break
        return seen

    def _pairs(
        self, run: Run, context: RoundContext, term: JointTerm, seen: Sequence[ImageMaps]
    ) -> Iterator[Finding]:
        rows: list[tuple[str, list[Picture | None]]] = []
        for source, target in permutations(term.names, 2):
            read = []
            codes = []
            for side in zip(*(image.maps[source, target] for image in seen), strict=True):
                read.append(torch.cat([maps for maps, _ in side]))
                codes.append(torch.cat([joint for _, joint in side]))
            differences = [subtract_mean(maps) for maps in read]
            rows.append(("", _pictures(context, seen[0], (source, target), differences)))
            for result in _numbers(*codes):
                yield Finding(
                    run=run,
                    keys={"source": source, "target": target},
                    result=result,
                    count=len(seen),
                )
        title = f"{run.name}: {seen[0].batch.ids[0]}"
        self.grids.append(PictureGrid(f"joint-maps-{run.name}", title, rows))

    def drawings(self, means: Sequence[Mean]) -> Sequence[PictureGrid]:
        """As `Analysis.drawings`: one grid for each network."""
        return self.grids


def subtract_mean(maps: Tensor) -> Tensor:
    """The first of several images' maps [n, c, h, w] less their mean, [1, c, h, w].

    A single map as it is.
    """
    if len(maps) < 2:
        return maps
    return maps[:1] - maps.mean(0)


def _pictures(
    context: RoundContext, seen: ImageMaps, pair: tuple[str, str], maps: Sequence[Tensor]
) -> list[Picture | None]:
    """An image's prediction and label of a source and a target, and their maps, as pictures."""
    (source, target) = pair
    size = seen.batch.images.shape[-2:]
    task = context.tasks[source]
    prediction = label_of(task.to_target(task.activate(resize_output(seen.raw[source], size))))
    shown = [
        (source, "predicted", prediction),
        (target, "label", label_of(seen.batch.targets[target])),
    ]
    pictures: list[Picture | None] = []
    for (name, kind, label), task_maps in zip(shown, maps, strict=True):
        pixels = colour_map(context.definitions[name], label.value, label.valid)
        pictures.append(Picture(pixels, f"{name}, {kind}"))
        pictures.append(Picture(_heat(task_maps, size), "its map"))
    return pictures


def _numbers(sources: Tensor, targets: Tensor) -> list[Result]:
    """What tells joint maps [n, d, h, w] of one image's prediction and label from two images'."""
    count = len(sources)
    apart = torch.stack([distance(source.expand_as(targets), targets) for source in sources])
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
    return heat_map(resize_output(maps.mean(1, keepdim=True), size)[0, 0].cpu().numpy())


def build(options: Options) -> JointMaps:
    """Build the analysis."""
    return JointMaps(options)
