"""Evaluates a network on labels: metrics and losses at the images' size, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.results import ClassScore, Result
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import Source, labels_of
from labelgrid.data.frame import Frame, resize_to_original, target_of
from labelgrid.data.loader import OnFault, eval_batches
from labelgrid.formats.codec import LabelArray
from labelgrid.nets.kept_maps import kept_of
from labelgrid.nets.network import Raw
from labelgrid.pixel.metrics import ClassMetric, Metric
from labelgrid.tasks.task import Task, TaskDefs, Tasks, build_all
from labelgrid.train.flip_average import predict_whole
from labelgrid.train.objective import fixed_weights
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel

#: Maps with more values than STRIP are processed in strips of rows. Maps with at most FEW channels
#: stay whole, because the saliency loss needs the share of salient pixels in the whole image.
STRIP = 2**24
FEW = 4
#: The images are divided into at most so many blocks, whose effect on the metrics is measured.
BLOCKS = 50


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The metrics and losses of a network on a set of labels.

    Args:
        metrics: the metrics by task, then by name.
        losses: the loss of each task's final prediction, a mean over all valid pixels of the set.
        loss_mtl: the weighted sum of the losses, with the recipe's fixed weights.
        labels: the number of labels by task.
        without: the values of each metric with one block of images left out in turn, by task, for
            `project.headlines.jackknife_interval`.
        classes: the score of each class by its name, of the tasks whose metric has them.
        by_image: the headline metric on a single image, by task and image id.
    """

    metrics: Mapping[str, Mapping[str, Result]]
    losses: Mapping[str, float]
    loss_mtl: Result
    labels: Mapping[str, int]
    without: Mapping[str, Mapping[str, Sequence[float]]]
    classes: Mapping[str, Mapping[str, ClassScore]]
    by_image: Mapping[str, Mapping[str, float]]

    def flat(self) -> dict[str, float]:
        """Return the values by `task/metric`, the losses by `task/loss`, and `loss_mtl`."""
        values = {f"{task}/loss": loss for task, loss in self.losses.items()}
        for task, group in self.metrics.items():
            for name, result in group.items():
                values[f"{task}/{name}"] = result.value
        values["loss_mtl"] = self.loss_mtl.value
        return values


def strips(channels: int, height: int, width: int) -> Iterator[slice]:
    """Split the rows of a map into strips of at most `STRIP` values.

    A strip may also have as many values as the whole map would have with `FEW` channels.

    Example:
        >>> [(s.start, s.stop) for s in strips(40, 240, 320)]
        [(0, 240)]
    """
    rows = max(1, max(STRIP, FEW * height * width) // (channels * width))
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def predictions(
    model: TrainedModel,
    definitions: TaskDefs,
    source: Source,
    image_ids: Sequence[str],
    data: DataOptions,
    *,
    batch: int = 8,
    workers: int = 0,
    feed_known: bool = False,
    progress: Progress | None = None,
    on_fault: OnFault | None = None,
) -> Iterator[tuple[str, Raw, Frame]]:
    """Yield each image's id, final raw outputs [channels, h', w'] and frame, in the given order.

    `on_fault` is told of images that cannot be read; None: they are errors. The network runs in
    evaluation mode. With `feed_known`, the labels of `source` are fed in (PartAL section 3.3). With
    `average_flips` in `data`, outputs are means over an image and its mirror image.
    """
    network = model.network
    device = next(network.parameters()).device
    was_training = network.training
    tasks = build_all(definitions) if data.average_flips else {}
    network.eval()
    labels = partial(labels_of, source, definitions) if feed_known else None
    try:
        for cpu_batch in eval_batches(
            source,
            definitions,
            image_ids,
            data,
            batch=batch,
            workers=workers,
            known_labels=labels,
            on_fault=on_fault,
            kept=kept_of(network.encoder),
        ):
            device_batch = cpu_batch.to(device)
            with torch.inference_mode():
                final = predict_whole(network, device_batch, tasks, data)
            for i, image_id in enumerate(cpu_batch.ids):
                raws = {task: raw[i] for task, raw in final.items()}
                yield image_id, raws, cpu_batch.frames[i]
            if progress:
                progress.advance(len(cpu_batch.ids))
    finally:
        network.train(was_training)


def evaluate(
    model: TrainedModel,
    tasks: Tasks,
    definitions: TaskDefs,
    source: Source,
    image_ids: Sequence[str],
    data: DataOptions,
    objective: ObjectiveOptions,
    *,
    batch: int = 8,
    workers: int = 0,
    known_source: Source | None = None,
    group: Callable[[str], str] = lambda _: "",
    progress: Progress | None = None,
) -> Evaluation:
    """Compute metrics and losses of the final predictions on the labels of `source`.

    The labels of `known_source` for the same images are fed in; no task's label reaches the task's
    output. `group` names the group of an image, see `blocks_of`.
    """
    progress = progress or Silent()
    progress.start("Evaluating", len(image_ids), "images")
    outputs = predictions(
        model,
        definitions,
        source=known_source or source,
        image_ids=image_ids,
        data=data,
        batch=batch,
        workers=workers,
        feed_known=known_source is not None,
        progress=progress,
    )
    return evaluate_outputs(
        outputs,
        tasks,
        definitions=definitions,
        source=source,
        blocks=blocks_of(image_ids, group),
        objective=objective,
    )


def blocks_of(image_ids: Sequence[str], group: Callable[[str], str]) -> dict[str, int]:
    """Divide images into at most `BLOCKS` blocks, without dividing a group.

    Images of a group, such as the frames of a video, resemble each other: as if each told something
    new, an interval would be too narrow.

    Args:
        image_ids: the images.
        group: the name of an image's group; "" if it is one by itself.

    Returns:
        The number of each image's block.

    Example:
        >>> blocks_of(["a/1", "a/2", "b/1"], lambda image_id: image_id[0])
        {'a/1': 0, 'a/2': 0, 'b/1': 1}
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for image_id in image_ids:
        name = group(image_id)
        groups.setdefault((name, "" if name else image_id), []).append(image_id)
    count = min(BLOCKS, len(groups))
    blocks = {}
    for index, members in enumerate(groups.values()):
        blocks.update(dict.fromkeys(members, index * count // len(groups)))
    return blocks


def evaluate_outputs(
    outputs: Iterable[tuple[str, Raw, Frame]],
    tasks: Tasks,
    definitions: TaskDefs,
    source: Source,
    *,
    blocks: Mapping[str, int],
    objective: ObjectiveOptions,
) -> Evaluation:
    """As `evaluate`, of raw outputs as `predictions` yields them, with the `blocks` of images."""
    measures = {name: Measure(task) for name, task in tasks.items()}
    by_image: dict[str, dict[str, float]] = {}
    for image_id, raws, frame in outputs:
        block = blocks[image_id]
        for task, raw in raws.items():
            label = source.label(image_id, definitions[task])
            if label is not None:
                alone = measures[task].add(raw, frame, label, block).compute()
                headline = alone[definitions[task].headline]
                by_image.setdefault(task, {})[image_id] = headline.value
    classes = {}
    for task, measure in measures.items():
        if measure.labels and isinstance(measure.metric, ClassMetric):
            scores = measure.metric.class_scores()
            if scores:
                classes[task] = dict(zip(definitions[task].class_names, scores, strict=True))
    weights = fixed_weights(tasks, objective)
    losses = {name: measure.loss for name, measure in measures.items() if measure.labels}
    total = float("nan")
    if losses:
        total = sum(weights[name] * loss for name, loss in losses.items())
    return Evaluation(
        metrics={name: measure.metric.compute() for name, measure in measures.items()},
        losses=losses,
        loss_mtl=Result("loss_mtl", total, "", "lower"),
        labels={name: measure.labels for name, measure in measures.items()},
        without={name: measure.without() for name, measure in measures.items()},
        classes=classes,
        by_image=by_image,
    )


class Measure:
    """Accumulates one task's metric and loss over a set, image by image and strip by strip."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.metric = task.metric()
        self.blocks: dict[int, Metric] = {}
        self.total = 0.0
        self.pixels = 0
        self.labels = 0

    @property
    def loss(self) -> float:
        """The mean loss over all valid pixels."""
        return self.total / max(self.pixels, 1)

    def without(self) -> dict[str, list[float]]:
        """Compute each metric with each block of images left out in turn.

        Empty with fewer than two blocks.
        """
        blocks = list(self.blocks.values())
        if len(blocks) < 2:
            return {}
        before = [self.task.metric()]
        after = [self.task.metric()]
        for block, last in zip(blocks, reversed(blocks), strict=True):
            before.append(self._merge(before[-1], block))
            after.append(self._merge(after[-1], last))
        values: dict[str, list[float]] = {}
        for i in range(len(blocks)):
            rest = self._merge(before[i], after[len(blocks) - 1 - i])
            for name, result in rest.compute().items():
                values.setdefault(name, []).append(result.value)
        return values

    def _merge(self, *metrics: Metric) -> Metric:
        merged = self.task.metric()
        for metric in metrics:
            merged.merge(metric)
        return merged

    def add(self, raw: Tensor, frame: Frame, label: LabelArray, block: int = 0) -> Metric:
        """Add an image to a block: a raw output [channels, h', w'], and the label at original size.

        Returns:
            The metric of this image alone.

        Raises:
            LabelError: the label and its image differ in size.
        """
        height, width = label.size
        if (height, width) != frame.original:
            raise LabelError(
                f"A {self.task.name} label is {height}x{width}, "
                f"its image {frame.original[0]}x{frame.original[1]}.",
                next_step="Export the label at its image's size.",
            )
        image = self.task.metric()
        with torch.inference_mode():
            for rows in strips(self.task.channels, height, width):
                strip = resize_to_original(raw, frame, rows)[None]
                target = target_of(label, rows).to(strip.device)
                image.update(self.task.activate(strip), target)
                self.total += float(self.task.pixel_loss(strip, target).double().sum())
                self.pixels += int(target.valid.sum())
        image.end_image()
        self.metric.merge(image)
        self.blocks.setdefault(block, self.task.metric()).merge(image)
        self.labels += 1
        return image
