"""How good a network is on a set of labels: metrics and losses at the images' original size, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from labelgrid.data.dataset import Source, labels_of
from labelgrid.data.frame import Frame, restore, target_of
from labelgrid.data.loader import eval_batches
from labelgrid.data.transforms import DataOptions
from labelgrid.errors import LabelError
from labelgrid.labels.codec import LabelArray
from labelgrid.nets.network import Raw
from labelgrid.pixel.target import Target
from labelgrid.progress import Progress, Silent
from labelgrid.results import Result
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.model import TrainedModel
from labelgrid.train.objective import fixed_weights
from labelgrid.train.options import ObjectiveOptions

#: Maps of more numbers than this are handled in strips of rows, unless they have as few channels as an image: those
#: come whole, since a saliency loss weighs by the whole image's share.
STRIP, FEW = 2**24, 4


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a set.

    Args:
        metrics: by task, then by metric name.
        losses: by task, the per-pixel mean over the set of the final prediction's loss.
        loss_mtl: the weighted sum of the losses, weights fixed by the recipe.
        labels: how many labels of each task were there.
    """

    metrics: Mapping[str, Mapping[str, Result]]
    losses: Mapping[str, float]
    loss_mtl: Result
    labels: Mapping[str, int]

    def flat(self) -> dict[str, float]:
        """The numbers by `task/metric`, and `loss_mtl`."""
        named = {f"{t}/{name}": r.value for t, group in self.metrics.items() for name, r in group.items()}
        return {**named, "loss_mtl": self.loss_mtl.value}


def strips(channels: int, height: int, width: int) -> Iterator[slice]:
    """The rows of a map cut so that a strip of `channels` holds at most `STRIP` numbers, or what an image holds.

    Example:
        >>> [(s.start, s.stop) for s in strips(40, 240, 320)]
        [(0, 240)]
    """
    rows = max(1, max(STRIP, FEW * height * width) // (channels * width))
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def predictions(
    model: TrainedModel,
    definitions: Mapping[str, TaskDef],
    source: Source,
    names: Sequence[str],
    data: DataOptions,
    *,
    batch: int = 8,
    workers: int = 0,
    known: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[str, Raw, Frame]]:
    """Each image's final raw outputs [channels, h', w'] and its frame, in order; the network in evaluation mode.

    With `known`, the labels that `source` has are fed in (PartAL section 3.3).
    """
    network = model.network
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    own = partial(labels_of, source, definitions) if known else None
    try:
        for part in eval_batches(source, definitions, names, data, batch=batch, workers=workers, known=own):
            moved = part.to(device)
            with torch.inference_mode():
                final = network(moved.images, moved.targets or None).final
            for i, name in enumerate(part.ids):
                yield name, {task: raw[i] for task, raw in final.items()}, part.frames[i]
            if progress:
                progress.advance(len(part.ids))
    finally:
        network.train(was_training)


def evaluate(
    model: TrainedModel,
    tasks: Mapping[str, Task],
    definitions: Mapping[str, TaskDef],
    source: Source,
    names: Sequence[str],
    data: DataOptions,
    objective: ObjectiveOptions,
    *,
    batch: int = 8,
    workers: int = 0,
    known: Source | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Metrics and losses of the final predictions on the labels that `source` has for `names`.

    Labels that `known` has of the same images are fed in; a task's own label never reaches its own output.
    """
    progress = progress or Silent()
    progress.start("Evaluating", len(names), "images")
    measures = {name: Measure(task) for name, task in tasks.items()}
    seen, fed = known or source, known is not None
    outputs = predictions(
        model, definitions, seen, names, data, batch=batch, workers=workers, known=fed, progress=progress
    )
    for name, raws, frame in outputs:
        for task, measure in measures.items():
            label = source.label(name, definitions[task])
            if label is not None:
                measure.add(raws[task], frame, label)
    weights = fixed_weights(tasks, objective)
    losses = {name: measure.loss for name, measure in measures.items() if measure.labels}
    total = sum(weights[name] * loss for name, loss in losses.items()) if losses else float("nan")
    return Evaluation(
        metrics={name: measure.metric.compute() for name, measure in measures.items()},
        losses=losses,
        loss_mtl=Result("loss_mtl", total, "", "lower"),
        labels={name: measure.labels for name, measure in measures.items()},
    )


class Measure:
    """One task's metric and loss over a set, added image by image, strip by strip."""

    def __init__(self, task: Task) -> None:
        self.task, self.metric = task, task.metric()
        self.total, self.pixels, self.labels = 0.0, 0, 0

    @property
    def loss(self) -> float:
        """The per-pixel mean over the set."""
        return self.total / max(self.pixels, 1)

    def add(self, raw: Tensor, frame: Frame, label: LabelArray) -> None:
        """Add one image: raw [channels, h', w'] against its label at original size.

        Raises:
            LabelError: the label is of another size than its image.
        """
        height, width = label.size
        if (height, width) != frame.original:
            raise LabelError(
                f"A {self.task.name} label is {height}x{width}, its image {frame.original[0]}x{frame.original[1]}.",
                next_step="Export the label at its image's size.",
            )
        with torch.inference_mode():
            for rows in strips(self.task.channels, height, width):
                strip = restore(raw, frame, rows)[None]
                target = as_target(label, rows, strip.device)
                self.metric.update(self.task.activate(strip), target)
                self.total += float(self.task.pixel_loss(strip, target).double().sum())
                self.pixels += int(target.valid.sum())
        self.metric.end_image()
        self.labels += 1


def as_target(label: LabelArray, rows: slice, device: torch.device | str = "cpu") -> Target:
    """Rows of a label as a batch of one."""
    return target_of(label, rows).to(device)
