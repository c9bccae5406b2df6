"""Evaluates prediction files from any program against labels.

The metrics are those by which networks are evaluated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.data.frame import target_of
from labelgrid.evidence.figure_doubts import compare_with_labels
from labelgrid.evidence.label_summary import Pair, Summary
from labelgrid.formats.codec import LabelArray
from labelgrid.images.opening import label_of
from labelgrid.pixel.metrics import Metric
from labelgrid.project.sources import other_folders
from labelgrid.rounds.prediction_files import (
    find_predictions,
    hard_prediction,
    known_tasks_text,
    soft_prediction,
)
from labelgrid.rounds.protocol import WHOLE, Protocol
from labelgrid.tasks.task import Task, TaskDef, TaskDefs, build_all
from labelgrid.train.evaluation import strips

#: At most so many predictions of a task, the first ones, are compared with their labels to find
#: another unit or axes.
PAIRS = 32


def evaluate_files(
    source: Source,
    definitions: TaskDefs,
    image_ids: Sequence[str],
    folder: Path,
    progress: Progress,
    protocol: Protocol = WHOLE,
) -> Json:
    """Measure the predictions of images, for each task with a folder of predictions.

    A prediction is `folder/TASK/IMAGE.EXT`: a label file (for depth `0001.npy` in metres, say), or
    a soft prediction as written by `predict --soft`. For tasks of one probability, such as edges,
    it may be grey of 8 or 16 bits, or `.npy` from 0 to 1; for classes also `.npy` [h, w] of class
    numbers, -1 for none. Where a file of depth or normals has no value, depth counts as 0, and
    normals are off by 90 degrees. `Progress.say` names folders that are of no task, says how many
    pixels have no value, and which values seem to have another unit or other axes.

    Returns:
        `labels`, the number of labels by task, and `metrics` by task and name, as JSON values.

    Raises:
        ProjectError: no task has a folder, an image with a label has no prediction, or no image has
            a label.
        LabelError: a prediction cannot be read, has another size than its label, or lacks a class
            where the label has one; or two files could be it.
    """
    files = find_predictions(source, definitions, image_ids, folder)
    others = other_folders(folder, definitions)
    if others:
        progress.say(
            f"Not measured, as no task has this name: {join_names(others)}. "
            f"{known_tasks_text(definitions)}"
        )
    source = protocol.source(source, definitions)
    tasks = build_all({name: definitions[name] for name in files})
    tasks = protocol.tasks(tasks, definitions)
    measures = {name: task.metric() for name, task in tasks.items()}
    labels = dict.fromkeys(tasks, 0)
    progress.start("Evaluating", sum(map(len, files.values())), "predictions")
    for name, paths in files.items():
        gathered = _Gathered(task=definitions[name])
        for image_id, path in paths.items():
            label = nonempty_label(source, image_id, definitions[name])
            if label is not None:
                _add(measures[name], tasks[name], path=path, label=label, gathered=gathered)
                labels[name] += 1
            progress.advance()
        for remark in gathered.remarks():
            progress.say(f"{name}: {remark}")
    protocol.check_counted(labels, definitions)
    if not any(labels.values()):
        raise ProjectError("None of these images has a label of these tasks.", where=folder)
    results = {name: measure.compute() for name, measure in measures.items()}
    return {"labels": labels, "metrics": results_json(results)}


def results_json(results: Mapping[str, Mapping[str, Result]]) -> Json:
    """Results by task and name as JSON values."""
    values = {}
    for task, group in results.items():
        values[task] = {name: asdict(result) for name, result in group.items()}
    return values


@dataclass(kw_only=True)
class _Gathered:
    """The facts for remarks on a task's predictions.

    Args:
        task: the task.
        hard: whether a prediction is a label file, or holds class numbers.
        pixels, without: the number of pixels of labels with values, and how many of these have no
            value in the predictions.
        pairs: the figures of the first labels and of their predictions.
    """

    task: TaskDef
    hard: bool = False
    pixels: int = 0
    without: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def add(self, label: LabelArray, predicted: LabelArray) -> None:
        """Add the prediction of a value."""
        self.pixels += int(label.valid.sum())
        self.without += int((label.valid & ~predicted.valid).sum())
        if len(self.pairs) < PAIRS and predicted.valid.any():
            of_label = Summary(figures=self.task.figures(label))
            of_prediction = Summary(figures=self.task.figures(predicted))
            self.pairs.append((of_label, of_prediction))

    def remarks(self) -> Iterator[str]:
        """Sentences on what may explain poor figures."""
        if self.hard and getattr(self.task.options, "merge", None):
            yield (
                f"class numbers count the {len(self.task.options.classes)} classes before `merge`, "
                "as labels do."
            )
        if self.without:
            yield (
                f"{self.without / self.pixels:.2%} of the labels' pixels have no value in the "
                "predictions. Depth counts as 0 there, normals as 90° off."
            )
        for doubt in compare_with_labels(self.task.name, self.pairs):
            yield doubt.what


def _add(measure: Metric, task: Task, path: Path, label: LabelArray, gathered: _Gathered) -> None:
    """Add an image to a metric, strip by strip, and to the remarks."""
    with label_of(label.size):
        soft = soft_prediction(task, gathered.task, path)
    if soft is None:
        gathered.hard = True
        predicted = hard_prediction(task, gathered.task, path, label.size)
        size = predicted.size
        rows_of = partial(_hard, task, predicted)
    else:
        size = (soft.shape[1], soft.shape[2])
        rows_of = partial(_rows, soft)
    if size != label.size:
        raise LabelError(
            f"The prediction is {size[0]}x{size[1]}, its label {label.size[0]}x{label.size[1]}.",
            where=path,
            next_step="Write predictions at the size of the labels.",
        )
    if task.probabilities is None:
        if soft is not None:
            target = task.to_target(soft[None])
            value = target.value[0].movedim(0, -1).numpy()
            predicted = LabelArray(value, target.valid[0, 0].numpy())
        gathered.add(label, predicted)
    elif soft is None:
        _refuse_gaps(label, predicted, path)
    with torch.inference_mode():
        for rows in strips(task.channels, *label.size):
            measure.update(rows_of(rows), target_of(label, rows))
    measure.end_image()


def _refuse_gaps(label: LabelArray, predicted: LabelArray, path: Path) -> None:
    gaps = int((label.valid & ~predicted.valid).sum())
    if gaps:
        pixels = count_text(gaps, "pixel of the label has", "pixels of the label have")
        raise LabelError(
            f"{pixels} no prediction.",
            where=path,
            next_step="Predict a class at each pixel that has one in the label.",
        )


def _rows(prediction: Tensor, rows: slice) -> Tensor:
    return prediction[None, :, rows]


def _hard(task: Task, predicted: LabelArray, rows: slice) -> Tensor:
    return task.as_prediction(target_of(predicted, rows).safe())
